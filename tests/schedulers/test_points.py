from collections.abc import Sequence
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from adasearch.analysis.replay import virtual_decisions
from adasearch.records import Decision, IntervalRecord, Limits
from adasearch.schedulers import make_scheduler
from adasearch.schedulers.points import Point, path_of, points_of, points_text
from tests.rows import interval_at

LIMITS = Limits(smallest=16, largest=96)


def turning(*points: tuple[int, int, float]) -> list[IntervalRecord]:
    """A run of one interval of 400 examples a point: (examples seen, next size, next factor)."""
    records = []
    size, factor = 32, 1.0
    for number, (seen, to_size, to_factor) in enumerate(points):
        record = interval_at(number, seen=seen)
        decision = Decision(
            batch_size=to_size,
            lr_scale=to_factor,
            action="hold" if to_size == size else "grow" if to_size > size else "shrink",
            reason="because",
        )
        signals = replace(record.signals, batch_size=size, lr_scale=factor)
        records.append(replace(record, signals=signals, decision=decision))
        size, factor = to_size, to_factor
    return records


def test_path_names_the_marks_and_not_the_ends_of_the_last_batches() -> None:
    # Intervals of 400 that overshoot: a run of another size turns at the same marks.
    run = turning((416, 48, 1.0), (800, 48, 1.0), (1215, 48, 0.5), (1600, 24, 0.5))
    assert path_of(run, 400) == [Point(400, 48, 1.0), Point(1200, 48, 0.5), Point(1600, 24, 0.5)]
    assert points_text(path_of(run, 400)) == "48*1.0@400, 48*0.5@1200, 24*0.5@1600"


@given(st.lists(st.tuples(st.integers(16, 96), st.sampled_from([1.0, 0.5, 1 / 3, 1.5])), max_size=12))
def test_ramp_takes_the_very_path(wishes: Sequence[tuple[int, float]]) -> None:
    run = turning(*((400 * (number + 1) + 7, *wish) for number, wish in enumerate(wishes)))
    path = path_of(run, 400)
    rule = make_scheduler("ramp", {"points": points_text(path)}) if path else None
    if rule is not None:
        replayed = virtual_decisions([record.signals for record in run], rule, LIMITS)
        assert [(each.batch_size, each.lr_scale) for each in replayed] == list(wishes)


POINTS = st.lists(
    st.tuples(st.integers(0, 10**9), st.integers(1, 4096), st.floats(1e-6, 1e6)), unique_by=lambda p: p[0]
)


@given(POINTS)
def test_text_of_points_is_read_as_these_points(values: list[tuple[int, int, float]]) -> None:
    points = [Point(*value) for value in sorted(values)]
    plain = all(point.lr_scale == 1 for point in points)
    assert points_of(points_text(points)) == [
        replace(p, lr_scale=None if plain else p.lr_scale) for p in points
    ]
