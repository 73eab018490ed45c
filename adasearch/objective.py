"""What a search minimises beside the seconds, and how its values are told: a fraction of errors, or a loss.

The columns ``val_error`` and ``test_error`` hold it; a study's ``objective`` is its name.
"""

from collections.abc import Iterable

__all__ = ["ERROR", "brief", "headed", "is_fraction", "margin_of", "named", "shown"]

ERROR = "error"
"""The objective of classification: the fraction that was classified wrongly."""

ERROR_MARGIN = 0.01  # errors that differ by less are equal: one point
LOSS_MARGIN = 0.005  # of a loss: half a percent of it


def is_fraction(objective: str) -> bool:
    """Tell whether an objective is a fraction of errors by its name, so that it lies in 0 to 1.

    >>> is_fraction("error"), is_fraction("top5_error"), is_fraction("loss")
    (True, True, False)
    """
    return objective == ERROR or objective.endswith(f"_{ERROR}")


def shown(value: float, objective: str = ERROR, *, digits: int = 1) -> str:
    """Return a value of an objective in words: a fraction in percent, anything else as a number.

    >>> shown(0.0315), shown(1.2345, "loss")
    ('3.1 %', '1.2345')
    """
    if is_fraction(objective):
        return f"{round(100 * value, digits) + 0.0:.{digits}f} %"  # + 0.0: no minus before a zero
    return f"{value:.5g}"


def brief(value: float, objective: str = ERROR) -> str:
    """Return a value of an objective where a line has little room.

    >>> brief(0.0315), brief(1.2345, "loss")
    ('3.1%', '1.2345')
    """
    return f"{value:.1%}" if is_fraction(objective) else shown(value, objective)


def headed(objectives: Iterable[str]) -> str:
    """Return what a column of values of several objectives is called.

    >>> headed(["error"]), headed(["loss"]), headed(["error", "loss"])
    ('error', 'loss', 'error or loss')
    """
    names = sorted({named(each) for each in objectives} or {ERROR})
    return " or ".join(names) if len(names) < 3 else "objective"


def margin_of(objective: str, margin: float | None, reference: float | None) -> float:
    """Return the difference of an objective that counts as none.

    Args:
        objective: its name.
        margin: what the user says of it; None for one point of a fraction, half a percent of anything else.
        reference: the value that it is half a percent of; None where there is none.

    >>> margin_of("error", None, 0.2), margin_of("loss", None, 2.0), margin_of("loss", 0.5, 2.0)
    (0.01, 0.01, 0.5)
    """
    if margin is not None:
        return margin
    if is_fraction(objective) or not reference:
        return ERROR_MARGIN
    return LOSS_MARGIN * abs(reference)


def named(objective: str) -> str:
    """Return what an objective is called in a sentence.

    >>> named("error"), named("loss")
    ('error', 'loss')
    """
    return objective.replace("_", " ")
