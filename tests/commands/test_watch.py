"""``watch``: what it shows of a folder that another process writes."""

import io
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from adasearch.commands import watch
from adasearch.commands._watch import Glance
from adasearch.errors import InputError
from adasearch.records import TrialRecord
from adasearch.store import Store
from tests.rows import STUDY, interval_at, study_of, trial_of

OTHER = study_of("constant")
RUNNING = trial_of(STUDY, 2, status="running")
BEST = trial_of(STUDY, 1, val_error=0.125, seconds=4)
ROWS = [interval_at(0, val_error=0.5, seconds=2), interval_at(1, seconds=4, action="grow", batch_size=48)]
LINE = (
    f"  {RUNNING.trial_id}, 50%, batch {{batch}}, train loss {{loss:.3f}}, error 50.0 %, about {{left}} left"
)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A study with a trial that runs, one that was the best, one that failed; and one that is done."""
    store = Store(str(tmp_path / "results"))
    for study in (OTHER, STUDY):
        store.write_study(study)
    for trial in (
        RUNNING,
        BEST,
        trial_of(STUDY, 0, val_error=0.25),
        trial_of(STUDY, 3, status="failed"),
        trial_of(OTHER, 0, val_error=0.75),
    ):
        store.write_trial(trial)
    store.write_intervals(RUNNING, ROWS)
    return store


def seen(store: Store, *, terminal: bool = False, **options: object) -> str:
    out = io.StringIO()
    console = Console(file=out, width=120, force_terminal=terminal, color_system=None)
    watch(store, console=console, **options)  # type: ignore[arg-type]
    return out.getvalue()


def stops_after(count: int, then: Callable[[int], None] = lambda look: None) -> Callable[[float], None]:
    """Stands in for waiting: what happens meanwhile, and Ctrl-C after so many looks."""
    looks = 0

    def sleep(seconds: float) -> None:
        nonlocal looks
        looks += 1
        if looks > count:
            raise KeyboardInterrupt
        then(looks)

    return sleep


def test_a_running_trial_is_shown_as_it_was_stored_with_the_time_that_is_left(store: Store) -> None:
    last = ROWS[-1]
    spent = sum(row.train_seconds + row.eval_seconds for row in ROWS)
    line = LINE.format(batch=last.decision.batch_size, loss=last.signals.train_loss, left=f"{spent:.0f} s")
    with store.locks.hold(STUDY.study):
        lines = seen(store, once=True).splitlines()
    assert lines == [
        f"{STUDY.study}: 1 running, 2 complete, 1 failed, best error 12.5 % ({BEST.trial_id})",
        line,
        f"{OTHER.study}: 1 complete, best error 75.0 % ({OTHER.study}-search-0)",
    ]


def test_a_trial_whose_search_is_gone_is_interrupted_and_one_of_another_host_perhaps_runs(
    store: Store,
) -> None:
    assert f"{RUNNING.trial_id}, interrupted, 50%" in seen(store, once=True)
    assert "1 interrupted, 2 complete" in seen(store, once=True)
    owner = Path(store.name, STUDY.study, ".owner")
    owner.write_text(f"host {socket.gethostname()}, process {2**22 + 1}")
    assert store.locks.held(STUDY.study) is False
    owner.write_text("host elsewhere, process 1")
    assert f"{RUNNING.trial_id}, perhaps running, 50%" in seen(store, once=True)


def test_a_look_leaves_the_lock_to_a_search_that_begins(store: Store) -> None:
    before = sorted(Path(store.name).rglob("*"))
    with store.locks.hold(STUDY.study):
        assert store.locks.held(STUDY.study) is True
        seen(store, once=True)
        store.locks.check()
    seen(store, once=True)
    after = sorted(Path(store.name).rglob("*"))
    assert set(after) - set(before) == {Path(store.name, STUDY.study, ".lock")}  # the search's own


def test_elsewhere_than_on_a_terminal_each_line_is_printed_once_as_it_changes(store: Store) -> None:
    def meanwhile(look: int) -> None:
        if look == 2:
            store.write_intervals(RUNNING, [*ROWS, interval_at(2, val_error=0.0625)])
        if look == 4:
            store.write_trial(replace(RUNNING, status="complete", val_error=0.0625))

    out = io.StringIO()
    with store.locks.hold(STUDY.study), pytest.raises(KeyboardInterrupt):
        watch(store, console=Console(file=out, width=120), sleep=stops_after(6, meanwhile))
    lines = out.getvalue().splitlines()
    assert len(lines) == 5
    assert lines[3].startswith(f"  {RUNNING.trial_id}, 75%, ")
    best = f"best error 6.2 % ({RUNNING.trial_id})"
    assert lines[4] == f"{STUDY.study}: 3 complete, 1 failed, {best}"


def test_a_terminal_has_a_table_that_is_drawn_anew(store: Store) -> None:
    def meanwhile(look: int) -> None:
        store.write_trial(replace(RUNNING, status="pruned"))

    out = io.StringIO()
    console = Console(file=out, width=120, force_terminal=True, color_system=None)
    with store.locks.hold(STUDY.study), pytest.raises(KeyboardInterrupt):
        watch(store, console=console, sleep=stops_after(1, meanwhile))
    shown = out.getvalue().replace("\x1b[?25l", "")  # hides the cursor
    head, row = (line.split() for line in shown.splitlines()[:2])
    assert head == ["running", "stored", "batch", "lr", "train", "loss", "error", "left"]
    assert (row[0], row[1], row[5:7]) == (RUNNING.trial_id, "50%", ["50.0", "%"])
    assert "nothing runs" in shown
    assert "1 pruned" in shown


def test_an_empty_folder_and_one_without_running_trials_say_so(tmp_path: Path, store: Store) -> None:
    assert seen(Store(str(tmp_path / "empty")), once=True) == "no trial is stored yet\n"
    store.write_trial(replace(RUNNING, status="complete", val_error=0.5))
    assert seen(store, terminal=True, once=True).startswith("nothing runs\n")


def test_studies_are_chosen_by_name(store: Store) -> None:
    shown = seen(store, once=True, studies=[OTHER.study])
    assert STUDY.study not in shown
    with pytest.raises(InputError, match=f"did you mean '{STUDY.study}'"):
        Glance(store, ["resnet18-nano-deba-digit"])


def test_a_run_outside_a_search_is_shown_with_its_own_length(store: Store) -> None:
    trial = trial_of(STUDY, 0, status="running", phase="train")
    store.write_train_study(trial, replace(STUDY, budget=800))
    store.write_trial(trial)
    store.write_intervals(trial, ROWS[:1])
    with store.locks.hold(f"train/checkpoints/{trial.trial_id}"):
        shown = seen(store, once=True)
    assert f"  {trial.trial_id}, 50%, " in shown
    assert "train: 1 running\n" in shown


def test_a_trial_without_a_stored_interval_and_a_loss_as_objective_are_shown(store: Store) -> None:
    new: TrialRecord = replace(RUNNING, trial_id=f"{STUDY.study}-search-4", number=4)
    store.write_trial(new)
    store.write_trial(replace(RUNNING, objective="loss"))
    with store.locks.hold(STUDY.study):
        shown = seen(store, once=True)
        assert f"  {new.trial_id}, no interval is stored yet\n" in shown
        assert ", loss 0.5, about " in shown
        assert "objective" in seen(store, terminal=True, once=True)


def test_ctrl_c_ends_it_with_130(store: Store) -> None:
    command = [sys.executable, "-m", "adasearch", "watch", store.name, "--every", "0.2"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        try:
            _, err = process.communicate(timeout=30)
        finally:
            process.kill()  # else a failure would wait for it
    assert first.startswith(f"{STUDY.study}: 1 interrupted, 2 complete")
    assert (process.returncode, err.strip()) == (130, "adasearch: interrupted")
