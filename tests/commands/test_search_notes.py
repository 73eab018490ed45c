"""What a search says of timetables that none of its trials takes."""

import pytest

from adasearch.commands._search import _untaken
from adasearch.studies.request import Request
from adasearch.studies.resolve import resolve
from adasearch.studies.wanted import nothing_stored


@pytest.mark.parametrize(
    ("points", "said"),
    [
        (
            "24@0, 32@200",
            ["1 of 2 points never taken: the next one lies in the same interval of 400 examples"],
        ),
        ("24@400, 32@401", []),
        (
            "24@401, 32@800",
            ["1 of 2 points never taken: the next one lies in the same interval of 400 examples"],
        ),
        ("24@400, 32@1600", ["1 of 2 points never taken (32@1600): the run ends at 1600 examples"]),
    ],
)
def test_points_that_no_trial_takes_are_told_before_a_search(points: str, said: list[str]) -> None:
    request = Request(
        architectures=("resnet18",),
        schedulers=("ramp",),
        baseline=False,
        subset=400,
        budget="1600ex",
        interval="400ex",
        fixed=(f"scheduler/points={points}",),
    )
    (study,) = resolve(request, nothing_stored, lambda _: None)
    found = _untaken(study)
    assert found == [f"{study.record.study}: {each}" for each in said]
