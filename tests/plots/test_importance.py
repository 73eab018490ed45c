"""What the figure of importances shows."""

from adasearch.analysis.importance import ImportanceRow
from adasearch.plots.importance import draw_importances
from tests.plots.figures import PAGE, told


def test_importances_are_bars_with_the_most_important_setting_first() -> None:
    def row(parameter: str, objective: str, share: float | None) -> ImportanceRow:
        return ImportanceRow(
            study="s", architecture="net", scheduler="deba", objective=objective, clock="measured",
            evaluator="fanova", seeds=5, complete=9, parameter=parameter, importance=share, spread=0.1,
        )  # fmt: skip

    rows = [row("lr", "val_error", 0.2), row("window", "val_error", 0.8), row("lr", "seconds", 0.3)]
    drawn = draw_importances(rows, style=PAGE)
    assert drawn is not None
    assert sorted(told(drawn)) == [
        "lr, of training time: 0.30 ± 0.10",
        "lr, of validation error: 0.20 ± 0.10",
        "window, of validation error: 0.80 ± 0.10",
    ]
    names = [label.get_text() for label in drawn.figure.axes[0].get_yticklabels()]
    assert names == ["window", "lr"]
    assert drawn.note.startswith("fanova on 9 complete trials")
    assert draw_importances([row("lr", "seconds", None)], style=PAGE) is None
