"""The examples of the documentation, each run as a user would run it."""

import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
import torch

EXAMPLES = Path(__file__).parent.parent / "docs" / "examples"
# One thread a process, and this adasearch.
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(EXAMPLES.parent.parent)}


def run(*arguments: str, folder: Path) -> str:
    """Run python and return what it printed."""
    process = subprocess.Popen(
        [sys.executable, *arguments],
        cwd=folder,
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        printed, errors = process.communicate(timeout=200)
    finally:
        process.terminate()  # a launcher ends its workers when it is told to end
    assert process.returncode == 0, printed + errors
    return printed


def sizes(printed: str) -> list[int]:
    return [int(size) for size in re.findall(r"batch +(\d+)", printed)]


def losses(printed: str) -> list[float]:
    return [float(loss) for loss in re.findall(r"loss ([\d.]+)", printed)]


def test_plain_loop_grows_and_learns(tmp_path: Path) -> None:
    printed = run(str(EXAMPLES / "plain.py"), folder=tmp_path)
    assert len(sizes(printed)) == 12
    assert sizes(printed)[0] == 32 < sizes(printed)[-1]
    assert losses(printed)[-1] < 0.15 < 1 < losses(printed)[0]


# One run in 26 ended with SIGABRT at the exit of a process, its work done; the cause is not found yet.
@pytest.mark.soak
def test_two_processes_go_on_from_a_checkpoint_in_mid_epoch(tmp_path: Path) -> None:
    command = [
        *("-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone"),
        *(str(EXAMPLES / "ddp.py"), "run.pt"),
    ]
    whole = run(*command, folder=tmp_path)
    assert sizes(whole) == [32, 64, 128, 256, 256, 256]
    assert "batch 256 in 4 passes" in whole
    assert (tmp_path / "run.pt").exists()
    resumed = run(*command, folder=tmp_path)
    assert resumed.startswith("going on at step 120 of epoch 6")
    assert resumed.splitlines()[1:] == whole.splitlines()[-1:]


def test_lightning_callback_grows_and_learns(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("lightning", reason="pip install 'adasearch[lightning]'")
    found = runpy.run_path(str(EXAMPLES / "lightning_callback.py"))
    adaptive, _ = found["main"]()
    history = adaptive.controller.history
    assert [row.batch_size for row in history] == [32, 32, 64, 64, 128, 128, 224, 224]
    assert history[-1].train_loss < 0.15 < 1 < history[0].train_loss
    curve = [0.025 * (1 + torch.cos(torch.tensor(torch.pi * epoch / 8)).item()) for epoch in range(8)]
    assert [row.lr for row in history] == pytest.approx(
        [lr * row.lr_scale for lr, row in zip(curve, history, strict=True)], rel=1e-6
    )
    assert "batch 224" in capsys.readouterr().out
