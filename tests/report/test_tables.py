import pytest

from adasearch.io.tables import Column
from adasearch.report.tables import cell_class


@pytest.mark.parametrize(
    ("outcome", "classes"),
    [
        ("both faster and better", "verdict good"),
        ("faster at equal error", "verdict good"),
        ("better at equal time", "verdict good"),
        ("worse", "verdict bad"),
        ("no evidence", "verdict"),
        ("too few seeds", "verdict"),
        ("no reference", "verdict"),
        (None, "verdict"),  # a row of the search, or a candidate that made no change
    ],
)
def test_colour_of_a_verdict_follows_the_outcome_and_not_the_words(outcome: str | None, classes: str) -> None:
    row = {"words": f"{outcome} (no gain in search)", "outcome": outcome}
    assert cell_class(Column("words", "verdict"), row, words=True) == classes


def test_other_cells_are_words_or_numbers() -> None:
    assert cell_class(Column("seeds", "seeds"), {"seeds": 5, "outcome": "worse"}, words=False) == "number"
    assert cell_class(Column("role", "control"), {"role": "decay", "outcome": "worse"}, words=True) == ""
