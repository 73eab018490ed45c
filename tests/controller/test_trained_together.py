"""The same under DDP: what is averaged is measured, and what is not is refused."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from torch import distributed as dist
from torch import nn
from torch.multiprocessing.spawn import spawn
from torch.nn.parallel import DistributedDataParallel
from torch.torch_version import TorchVersion
from torch.utils.data import DataLoader, TensorDataset

from adasearch import BatchSizeController, Limits
from adasearch.controller.trained import COMPLEX_SINCE, Trained
from adasearch.errors import InputError
from adasearch.signal_sets import MEASURED
from tests.controller.test_trained import SIZE, WantsAll, Waves, Words, net, numbers

WORLD = 2


class Odd(Waves):
    """Its complex weights begin at an odd place of DDP's bucket."""

    def __init__(self, *, real: bool) -> None:
        super().__init__(real=real)
        self.odd = nn.Parameter(torch.ones(1))

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return super().forward(inputs) * self.odd


def words() -> TensorDataset:
    random = torch.Generator().manual_seed(0)
    return TensorDataset(torch.randint(20, (96, 4), generator=random), numbers().tensors[1])


def complex_works() -> bool:
    return bool(torch.__version__ >= COMPLEX_SINCE)


def compiled() -> nn.Module:
    return cast(nn.Module, torch.compile(DistributedDataParallel(net()), backend="eager"))


class Wrapper(nn.Module):
    """What Lightning and others make of a model."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = DistributedDataParallel(net())

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        outputs: torch.Tensor = self.inner(inputs)
        return outputs


PARALLEL = DistributedDataParallel
TWINS: dict[str, tuple[Callable[[], nn.Module], Callable[[], nn.Module], Callable[[], TensorDataset]]] = {
    "complex": (lambda: PARALLEL(Waves(real=False)), lambda: PARALLEL(Waves(real=True)), numbers),
    "odd": (lambda: PARALLEL(Odd(real=False)), lambda: PARALLEL(Odd(real=True)), numbers),
    "sparse": (
        lambda: PARALLEL(Words(sparse=True, words=20)),
        lambda: PARALLEL(Words(sparse=False, words=20)),
        words,
    ),
    "compiled": (compiled, lambda: PARALLEL(net()), numbers),
    "wrapped": (Wrapper, lambda: PARALLEL(net()), numbers),
}


def run(model: nn.Module, data: TensorDataset, **options: Any) -> BatchSizeController:
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    controller = BatchSizeController(
        model,
        optimizer,
        data,
        WantsAll(),
        batch_size=SIZE,
        limits=Limits(smallest=SIZE, largest=SIZE),
        **options,
    )
    for inputs, labels in controller.batches(DataLoader(data, batch_sampler=controller.sampler)):
        controller.step(nn.functional.cross_entropy(model(inputs), labels))
    return controller


def _unfreeze() -> None:
    """What DDP did not see when it was built would differ between the processes without a word."""
    inner = net()
    inner[0].requires_grad_(False)
    model = DistributedDataParallel(inner)
    optimizer = torch.optim.SGD(inner[2].parameters(), lr=0.05)
    data = numbers()
    controller = BatchSizeController(
        model, optimizer, data, "deba", batch_size=SIZE, limits=Limits(smallest=SIZE, largest=SIZE)
    )
    for inputs, labels in controller.batches(DataLoader(data, batch_sampler=controller.sampler)):
        if controller.steps == 2:
            inner[0].requires_grad_(True)
            optimizer.add_param_group({"params": list(inner[0].parameters())})
        controller.step(nn.functional.cross_entropy(model(inputs), labels))


def _dropping(steps: int, states: list[Any] | None = None) -> tuple[list[Any], torch.Tensor]:
    """Train with dropout up to a step, from the states of this process if there are any."""
    torch.manual_seed(dist.get_rank())
    model = DistributedDataParallel(nn.Sequential(net(), nn.Dropout(0.3)))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    data = numbers()
    controller = BatchSizeController(
        model, optimizer, data, "deba", batch_size=8, limits=Limits(smallest=8, largest=8)
    )
    parts: tuple[Any, ...] = (model, optimizer, controller)
    for part, state in zip(parts, states or (), strict=False):
        part.load_state_dict(state)
    while controller.steps < steps:
        for inputs, labels in controller.batches(DataLoader(data, batch_sampler=controller.sampler)):
            controller.step(nn.functional.cross_entropy(model(inputs), labels))
            if controller.steps == steps:
                break
    return [copy.deepcopy(part.state_dict()) for part in parts], torch.cat(
        [p.detach().flatten() for p in model.parameters()]
    )


def _process(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=WORLD)
    try:
        found: dict[str, Any] = {}
        for name, (one, twin, data) in TWINS.items():
            if name in ("complex", "odd") and not complex_works():
                continue
            found[name] = [run(build(), data()).history for build in (one, twin)]
        with pytest.raises(InputError, match=r"parameter 'module\.0\.weight' is trained, but Distributed"):
            _unfreeze()
        whole, cut = _dropping(20)[1], _dropping(9)[0]
        assert torch.equal(_dropping(20, cut)[1], whole)  # each process goes on from its own
        hooked = DistributedDataParallel(net())
        run(hooked, numbers())
        with pytest.raises(InputError, match="has a communication hook already"):
            run(hooked, numbers())
        torch.save(found, f"{folder}/{rank}")
        dist.barrier()  # no process leaves while another is still in a collective
    finally:
        dist.destroy_process_group()


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    folder: Path = tmp_path_factory.mktemp("processes")
    spawn(_process, args=(str(folder),), nprocs=WORLD)
    return [torch.load(folder / str(rank), weights_only=False) for rank in range(WORLD)]


@pytest.mark.parametrize("name", TWINS)
def test_signals_are_those_of_the_plain_twin(found: list[Any], name: str) -> None:
    if name not in found[0]:
        pytest.skip("complex parameters in DDP need torch 2.14")
    (one,), (twin,) = found[0][name]
    assert found[1][name] == found[0][name]
    for signal in MEASURED:
        assert getattr(one, signal) == pytest.approx(getattr(twin, signal), rel=1e-9), signal


def test_complex_parameters_need_a_pytorch_that_was_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    model = Waves(real=False)
    trained = Trained(torch.optim.SGD(model.parameters(), lr=0.05), model)
    if complex_works():
        trained.reduce_by(cast(DistributedDataParallel, model))
    monkeypatch.setattr(torch, "__version__", TorchVersion("2.13.1"))
    with pytest.raises(InputError, match=r"need torch 2\.14 but this is 2\.13\.1"):
        trained.reduce_by(cast(DistributedDataParallel, model))
    real = Waves(real=True)
    Trained(torch.optim.SGD(real.parameters(), lr=0.05), real).reduce_by(cast(DistributedDataParallel, real))
