"""A loop with accelerate, and its loaders, which share batches out by themselves."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader

from adasearch import BatchSizeController
from adasearch.errors import InputError
from tests.frameworks import OPTIONS, Course, course, digits, example, network, plain, together

pytest.importorskip("accelerate", reason="pip install 'adasearch[accelerate]'")


def run_example() -> Course:
    controller, model = example("accelerate_loop")["main"]()
    assert controller.sampler.passes(128) == 2
    return course(controller, model)


def test_two_processes_do_as_a_plain_loop(tmp_path: Path) -> None:
    for found in together(run_example, folder=tmp_path):
        found.check(plain())


def prepared(options: dict[str, Any]) -> str:
    from accelerate import Accelerator
    from accelerate.utils import DataLoaderConfiguration

    accelerator = Accelerator(dataloader_config=DataLoaderConfiguration(**options))
    net, data = network(), digits()
    model, optimizer = accelerator.prepare(net, torch.optim.SGD(net.parameters(), lr=0.05))
    controller = BatchSizeController(model, optimizer, data, "constant", **OPTIONS)
    loader = accelerator.prepare(DataLoader(data, batch_sampler=controller.sampler))
    try:
        for inputs, labels in controller.batches(loader):
            controller.step(nn.functional.cross_entropy(model(inputs), labels))
    except InputError as error:
        return str(error)
    return "taken"


@pytest.mark.parametrize("options", [{}, {"dispatch_batches": True}, {"split_batches": True}], ids=str)
def test_prepared_loader_is_refused_in_two_processes(options: dict[str, Any], tmp_path: Path) -> None:
    for said in together(prepared, options, folder=tmp_path):
        assert "leave the loader out of what accelerate prepares" in said
        assert len(said.splitlines()) == 1


def test_optimizer_that_scales_by_itself_is_refused() -> None:
    from accelerate import Accelerator
    from accelerate.optimizer import AcceleratedOptimizer

    Accelerator(cpu=True)
    net, data = network(), digits()
    sgd, scaler = torch.optim.SGD(net.parameters(), lr=0.05), torch.amp.GradScaler("cpu")
    wrapped: Any = AcceleratedOptimizer(sgd, scaler=scaler)
    with pytest.raises(InputError, match=r"give optimizer\.optimizer, and scaler=accelerator\.scaler"):
        BatchSizeController(net, wrapped, data, "constant", **OPTIONS)
    BatchSizeController(net, wrapped.optimizer, data, "constant", scaler=scaler, **OPTIONS)


def accumulated() -> str:
    from accelerate import Accelerator

    accelerator = Accelerator(gradient_accumulation_steps=2)
    net, data = network(), digits()
    model, optimizer = accelerator.prepare(net, torch.optim.SGD(net.parameters(), lr=0.05))
    controller = BatchSizeController(model, optimizer, data, "constant", **OPTIONS)
    try:
        for inputs, labels in controller.batches(DataLoader(data, batch_sampler=controller.sampler)):
            with accelerator.accumulate(model):
                controller.step(nn.functional.cross_entropy(model(inputs), labels))
    except RuntimeError as error:
        return str(error)
    return "taken"


def test_accumulation_by_accelerate_is_refused_in_two_processes(tmp_path: Path) -> None:
    for said in together(accumulated, folder=tmp_path):
        assert said == (
            "optimizer.step() made no update: a framework accumulates by itself (accelerate's accumulate), "
            "but the controller does that: leave it out, and give device_batch="
        )
