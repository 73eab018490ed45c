"""The one rule of when times are compared: at equal error, and of a schedule that did something.

A run that learnt less is no faster way to the same result, so every table, figure, file and guess asks here
before it shows how many times as fast something is, or how much time it saves.
"""

__all__ = ["times_compare"]


def times_compare(error: float, bound: float, *, acted: bool = True) -> bool:
    """Tell whether a time may stand beside another.

    Args:
        error: the validation error of a search's trial, or a difference of errors.
        bound: the error E up to which a trial counts as equally good, or the difference that counts as none.
        acted: whether the batch size was changed at all; else it is a constant run of other settings.

    >>> times_compare(0.11, 0.12), times_compare(0.25, 0.01), times_compare(0.11, 0.12, acted=False)
    (True, False, False)
    """
    return acted and error <= bound
