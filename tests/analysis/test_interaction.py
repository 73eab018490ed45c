"""The cells of two parameters, worked out by hand, and the map drawn from them."""

import io
import math
from collections.abc import Sequence
from dataclasses import replace

import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.patches import Rectangle

from adasearch.analysis.interaction import interaction
from adasearch.errors import InputError
from adasearch.plots.importance import interaction_map
from adasearch.records import TrialRecord, Value
from tests.rows import STUDY, trial_of

WINDOW, COOLDOWN = "scheduler/window", "scheduler/cooldown"


def trials(*rows: tuple[Value, Value, float, float]) -> list[TrialRecord]:
    """One (window, cooldown, error, seconds) each."""
    return [
        trial_of(STUDY, n, val_error=error, seconds=spent, params={WINDOW: window, COOLDOWN: cooldown})
        for n, (window, cooldown, error, spent) in enumerate(rows)
    ]


FEW = trials((0, 1, 0.1, 10), (0, 1, 0.3, 30), (0, 1, 0.2, 60), (15, 1, 0.5, 5), (15, 3, 0.4, 7))


def cell(cells: pd.DataFrame, window: object, cooldown: object) -> tuple[int, float, float]:
    (row,) = cells[(cells[WINDOW] == window) & (cells[COOLDOWN] == cooldown)].to_dict("records")
    return row["trials"], row["val_error"], row["seconds"]


def test_each_cell_has_its_trials_and_their_medians() -> None:
    cells = interaction(FEW, WINDOW, COOLDOWN)
    assert len(cells) == 4
    assert cell(cells, 0, 1) == (3, 0.2, 30)
    assert cell(cells, 15, 1) == (1, 0.5, 5)
    assert cell(cells, 15, 3) == (1, 0.4, 7)


def test_empty_cell_is_there_and_has_no_value() -> None:
    count, error, spent = cell(interaction(FEW, WINDOW, COOLDOWN), 0, 3)
    assert count == 0
    assert math.isnan(error)
    assert math.isnan(spent)


def test_only_complete_trials_of_a_search_count() -> None:
    others = [
        replace(FEW[0], status="pruned", val_error=0.9),
        replace(FEW[0], phase="confirm", val_error=0.9),
        trial_of(STUDY, 9, val_error=0.9, seconds=1, params={WINDOW: 0}),
    ]
    assert interaction([*FEW, *others], WINDOW, COOLDOWN).equals(interaction(FEW, WINDOW, COOLDOWN))


def test_modelled_clock_has_its_own_seconds_and_none_where_it_has_none() -> None:
    modelled = [replace(FEW[0], modelled_seconds=3.0), *FEW[3:]]
    cells = interaction(modelled, WINDOW, COOLDOWN, clock="modelled")
    assert cell(cells, 0, 1)[2] == 3.0
    assert math.isnan(cell(cells, 15, 1)[2])
    assert cell(cells, 15, 1)[:2] == (1, 0.5)


@pytest.mark.parametrize(
    ("values", "labels", "codes"),
    [
        ([3, 4, 5, 6, 7, 8, 9, 10], ["3 to 4", "5 to 6", "7 to 8", "9 to 10"], [0, 0, 1, 1, 2, 2, 3, 3]),
        ([1, 2, 3, 4, 5, 100], ["1 to 2", "3 to 6", "7 to 15", "16 to 40", "41 to 100"], [0, 0, 1, 1, 1, 4]),
        ([0.0, 0.1, 0.2, 0.5, 0.7, 1.0], [], [0, 0, 1, 2, 3, 4]),
        ([0.001, 0.01, 0.1, 1.0, 10.0, 100.0], [], [0, 1, 2, 3, 4, 4]),
        (["a", "b", "c", "d", "e", "f"], ["a", "b", "c", "d", "e", "f"], [0, 1, 2, 3, 4, 5]),
        ([False, True, False], [False, True], [0, 1, 0]),
    ],
)
def test_many_values_fall_into_ranges(
    values: Sequence[Value], labels: Sequence[Value], codes: Sequence[int]
) -> None:
    cells = interaction(trials(*((value, 1, n, n) for n, value in enumerate(values))), WINDOW, COOLDOWN)
    categories = list(cells[WINDOW].cat.categories)
    if labels:
        assert categories == labels
    else:
        assert len(categories) == 5
    assert list(cells["trials"]) == [codes.count(place) for place in range(len(categories))]


def test_unknown_or_single_parameter_is_refused() -> None:
    with pytest.raises(
        InputError, match=r"unknown parameter 'scheduler/windw'; did you mean 'scheduler/window'"
    ):
        interaction(FEW, "scheduler/windw", COOLDOWN)
    with pytest.raises(InputError, match="two parameters but got scheduler/window twice"):
        interaction(FEW, WINDOW, WINDOW)
    with pytest.raises(InputError, match="unknown parameter"):
        interaction([], WINDOW, COOLDOWN)


# --- the map ----------------------------------------------------------------------------------------


def marks(axes: Axes, gid: str) -> list[tuple[float, float]]:
    found = [patch for patch in axes.patches if isinstance(patch, Rectangle) and patch.get_gid() == gid]
    return sorted((patch.get_x() + 0.5, patch.get_y() + 0.5) for patch in found)


def test_map_writes_medians_and_counts_and_leaves_empty_cells_hatched() -> None:
    figure = interaction_map(interaction(FEW, WINDOW, COOLDOWN), "resnet18, deba")
    error, spent = figure.axes
    for axes in (error, spent):
        assert marks(axes, "empty") == [(1, 0)]  # cooldown 3, window 0
        assert marks(axes, "cell") == [(0, 0), (0, 1), (1, 1)]
        assert all(patch.get_hatch() for patch in axes.patches if patch.get_gid() == "empty")
    assert {text.get_position(): text.get_text() for text in error.texts} == {
        (0, 0): "20\nn=3",
        (0, 1): "50\nn=1",
        (1, 1): "40\nn=1",
    }
    assert {text.get_text() for text in spent.texts} == {"30\nn=3", "5\nn=1", "7\nn=1"}
    assert [tick.get_text() for tick in error.get_xticklabels()] == ["1", "3"]
    assert [tick.get_text() for tick in error.get_yticklabels()] == ["0", "15"]
    assert (error.get_xlabel(), error.get_ylabel()) == (COOLDOWN, WINDOW)
    figure.savefig(io.BytesIO())


def test_darker_is_less() -> None:
    error = interaction_map(interaction(FEW, WINDOW, COOLDOWN)).axes[0]
    light = {
        (patch.get_x(), patch.get_y()): sum(to_rgb(patch.get_facecolor()))
        for patch in error.patches
        if isinstance(patch, Rectangle) and patch.get_gid() == "cell"
    }
    assert light[(-0.5, -0.5)] < light[(0.5, 0.5)] < light[(-0.5, 0.5)]  # 20, 40 and 50 %


def test_clock_without_any_seconds_is_a_map_of_empty_cells() -> None:
    figure = interaction_map(interaction(FEW, WINDOW, COOLDOWN, clock="modelled"))
    assert len(marks(figure.axes[1], "empty")) == 4
    figure.savefig(io.BytesIO())


def test_ranges_of_values_that_lie_close_are_told_apart() -> None:
    rows = [(1 + n / 100_000, 2, 0.1, 10.0) for n in range(8)]
    cells = interaction(trials(*rows), "scheduler/window", "scheduler/cooldown", bins=4)
    assert len(cells) == 4
    assert cells["trials"].sum() == 8
