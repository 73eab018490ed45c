"""A training function on two workers: equal signals on both, and a trial that goes on bit for bit."""

import traceback
from dataclasses import replace
from pathlib import Path

import torch
from torch import distributed as dist
from torch import nn

from adasearch.errors import InputError
from adasearch.functions.evaluation import figures_of
from adasearch.training.processes import Processes
from adasearch.training.side_by_side import side_by_side
from tests.functions.test_train_function import essence, run, task_of

STOP = 2  # intervals


def cut_and_whole(folder: str) -> str:
    """Train as one of two workers, whole and cut; return what differs, or "equal"."""
    try:
        whole, _ = run(replace(task_of("slow", Path(folder), scheduler="noise_scale"), checkpoint_every=0))
        task = task_of("slow", Path(folder), scheduler="noise_scale")
        first, outcome = run(task, STOP)
        assert outcome is None
        dist.barrier()  # the checkpoint is written
        rest, outcome = run(replace(task, stored=STOP))
        assert outcome is not None
        assert outcome.status == "complete"
        assert len(rest) < len(whole)
        cut = [*first, *rest]
        for one, other in zip(cut, whole, strict=True):
            # DDP lays its buckets out anew after the first step: the noise agrees to rounding.
            same = replace(
                one.signals, grad_noise=other.signals.grad_noise, grad_sq_norm=other.signals.grad_sq_norm
            )
            assert same == other.signals, (one.signals, other.signals)
        every: list[object] = [None, None]
        dist.all_gather_object(every, essence(whole))
        assert every[0] == every[1]
    except Exception:
        return traceback.format_exc()
    return "equal"


def figures_by_rank(told: object) -> str:
    """Evaluate in two processes, in orders and by names of their own; return what differs, or "right"."""
    del told
    processes = Processes(torch.device("cpu"))
    mine = [("loss", 1.0), ("margin", 10.0)] if processes.rank == 0 else [("margin", 30.0), ("loss", 3.0)]
    found = figures_of(lambda: dict(mine), None, nn.Linear(1, 1), processes)
    if found != {"loss": 2.0, "margin": 20.0}:
        return str(found)
    try:
        figures_of(lambda: dict(mine[: 1 + processes.rank]), None, nn.Linear(1, 1), processes)
    except InputError as error:
        return "right" if "in one process and loss, margin in another" in str(error) else str(error)
    return "figures of other names were taken"


def test_figures_of_an_evaluation_are_averaged_by_their_names() -> None:
    assert side_by_side(f"{__name__}:figures_by_rank", None, 2) == "right"


def test_two_workers_agree_and_go_on_bit_for_bit(tmp_path: Path) -> None:
    assert side_by_side(f"{__name__}:cut_and_whole", str(tmp_path), 2) == "equal"
