"""What a search minimises beside the seconds, and how its values are told: a fraction of errors, or a loss.

The columns ``val_error`` and ``test_error`` hold it; a study's ``objective`` is its name.
"""

__all__ = ["ERROR", "is_fraction", "named", "shown"]

ERROR = "error"
"""The objective of classification: the fraction that was classified wrongly."""


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


def named(objective: str) -> str:
    """Return what an objective is called in a sentence.

    >>> named("error"), named("loss")
    ('error', 'loss')
    """
    return objective.replace("_", " ")
