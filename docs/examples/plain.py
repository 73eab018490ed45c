"""An ordinary PyTorch loop whose batch size DEBA chooses; the lines with a comment are what changed."""

import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from adasearch import BatchSizeController

images, digits = load_digits(return_X_y=True)
data = TensorDataset(torch.tensor(images / 16, dtype=torch.float32), torch.tensor(digits))
torch.manual_seed(0)
model = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))
optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
curve = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=12)
fields = {"stability_threshold": 0.5, "cooldown": 2}
controller = BatchSizeController(model, optimizer, data, "deba", fields, batch_size=32)  # 1
loader = DataLoader(data, batch_sampler=controller.sampler)  # 2, in place of batch_size and shuffle

for epoch in range(controller.epoch, 12):  # 3: a resumed run goes on where it was
    for inputs, labels in controller.batches(loader):  # 4
        loss = nn.functional.cross_entropy(model(inputs), labels)
        controller.step(loss)  # 5, in place of zero_grad, backward and step
    curve.step()
    for last in controller.history[-1:]:  # there is none before the first interval's end
        reason = controller.decision.reason
        print(f"epoch {epoch + 1:2d}  batch {last.batch_size:3d}  loss {last.train_loss:.3f}  {reason}")
