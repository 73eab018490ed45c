"""A study's trial with its intervals, and a process that holds a study."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from tests.rows import STUDY, interval_at, trial_of

TRIAL = trial_of(STUDY, 3, val_error=0.125, seconds=2.5, params={"train/lr": 0.1, "scheduler/rule": "settle"})
INTERVALS = [interval_at(0, action="grow"), interval_at(1, val_error=0.125)]
HOLDER = """
import sys, time
from adasearch.store import Store
with Store(sys.argv[1]).locks.hold("held"):
    print("locked", flush=True)
    time.sleep(60)
"""


@contextmanager
def holder(uri: str) -> Iterator["subprocess.Popen[str]"]:
    """Let a process of its own hold the study "held" of a results folder."""
    process = subprocess.Popen([sys.executable, "-c", HOLDER, uri], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "locked\n"
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
