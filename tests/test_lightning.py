"""Lightning's trainer with an adaptive batch size."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim.lr_scheduler import CosineAnnealingLR
from torch.utils.data import DataLoader

from adasearch import BatchSizeController, Limits
from adasearch.errors import InputError
from tests.frameworks import Course, course, digits, example, network, together

pytest.importorskip("lightning", reason="pip install 'adasearch[lightning]'")

EPOCHS = 4


def alone() -> Course:
    """Train in one process, without a framework."""
    model, data = network(), digits()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    curve = CosineAnnealingLR(optimizer, T_max=8)
    limits = Limits(smallest=16, largest=224)
    controller = BatchSizeController(
        model, optimizer, data, "adabatch", {"period": 2}, batch_size=32, limits=limits, whole_batches=True
    )
    loader = DataLoader(data, batch_sampler=controller.sampler)
    for _ in range(EPOCHS):
        for inputs, labels in controller.batches(loader):
            controller.step(nn.functional.cross_entropy(model(inputs), labels))
        curve.step()
    return course(controller, model)


def run(processes: int, folder: str, **options: Any) -> Course:
    settings = {"epochs": EPOCHS, "default_root_dir": folder, **options}
    adaptive, model = example("lightning_callback")["main"](processes, **settings)
    return course(adaptive.controller, model)


def cut_and_resumed(folder: str) -> Course:
    from lightning.pytorch.callbacks import ModelCheckpoint

    saving = ModelCheckpoint(dirpath=folder, every_n_train_steps=120, save_top_k=-1)
    run(2, folder, max_steps=120, enable_checkpointing=True, callbacks=[saving])
    (path,) = Path(folder).glob("*.ckpt")
    return run(2, folder, checkpoint=str(path))


def test_two_processes_do_as_a_plain_loop(tmp_path: Path) -> None:
    for found in together(run, 2, str(tmp_path), folder=tmp_path):
        found.check(alone())
        assert found.sizes == [32, 32, 64, 64]


def test_two_processes_go_on_from_a_checkpoint_in_mid_epoch(tmp_path: Path) -> None:
    for found in together(cut_and_resumed, str(tmp_path), folder=tmp_path):
        found.check(alone())


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_update_that_the_scaler_of_float16_skips_is_counted_as_skipped(tmp_path: Path) -> None:
    from lightning.pytorch.plugins import MixedPrecision

    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**24, growth_interval=1000)
    plugin = MixedPrecision("16-mixed", "cpu", scaler=scaler)
    adaptive, _ = example("lightning_callback")["main"](
        1, epochs=EPOCHS, plugins=[plugin], default_root_dir=str(tmp_path)
    )
    controller, batches = adaptive.controller, 2 * 57 + 2 * 29
    assert scaler.get_scale() < 2.0**24
    assert [row.batch_size for row in controller.history] == [32, 32, 64, 64]
    assert batches - 30 < controller.steps < batches
    assert controller.history[-1].train_loss < 0.3


def test_accumulating_trainer_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="leave accumulate_grad_batches out"):
        run(1, str(tmp_path), accumulate_grad_batches=2)


def uneven(folder: str) -> str:
    options = {"batch_size": 32, "limits": Limits(smallest=16, largest=33), "fields": {"period": 1}}
    found = example("lightning_callback")
    former = found["AdaptiveBatchSize"].__init__
    found["AdaptiveBatchSize"].__init__ = lambda self, data, **named: former(
        self, data, **{**named, **options}
    )
    try:
        found["main"](2, epochs=EPOCHS, default_root_dir=folder)
    except InputError as error:
        return str(error)
    return "taken"


def test_batch_that_two_processes_cannot_share_alike_is_refused(tmp_path: Path) -> None:
    for said in together(uneven, str(tmp_path), folder=tmp_path):
        assert said == (
            "a framework weighs all 2 processes alike, so they cannot share a batch of 33: "
            "give limits=Limits(..., multiple_of=2)"
        )
