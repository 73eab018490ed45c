"""Files that were being written when their process died."""

import os
import subprocess
import sys
from pathlib import Path

from adasearch.files import remove_dead_drafts
from adasearch.store import Store


def test_draft_of_a_dead_process_is_removed_with_the_next_lock_and_a_live_one_kept(tmp_path: Path) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    table = tmp_path / "study" / "trials"
    table.mkdir(parents=True)
    left, live, whole = (
        table / name for name in (f".a.parquet.{dead.pid}", f".a.parquet.{os.getpid()}", "a.parquet")
    )
    for file in (left, live, whole):
        file.touch()
    with Store(str(tmp_path)).lock("study"):
        assert not left.exists()
    assert live.exists()
    assert whole.exists()
    remove_dead_drafts(tmp_path / "nowhere")
