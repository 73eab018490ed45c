from pathlib import Path

import pytest

from adasearch.commands import doctor
from adasearch.errors import InputError
from adasearch.store import Store

STUDY = "resnet18-nano-deba-digits"


@pytest.mark.parametrize(
    ("inside", "says"),
    [(STUDY, "itself; give its parent"), (f"{STUDY}/trials", "it holds Parquet files itself")],
)
def test_a_folder_within_the_results_is_no_sound_results_folder(
    small_results: Path, inside: str, says: str
) -> None:
    with pytest.raises(InputError, match=rf"{inside} is no results folder: .*{says}"):
        doctor(Store(str(small_results / inside)))


def test_an_empty_folder_has_no_damage(tmp_path: Path) -> None:
    assert doctor(Store(str(tmp_path))).files == 0
