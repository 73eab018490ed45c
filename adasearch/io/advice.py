"""Commands that a message tells a person to run: whole, so that they run as they are printed."""

import shlex

__all__ = ["command"]

DEFAULT_RESULTS = "results"


def command(name: str, *words: str, results: str, **flags: object) -> str:
    """Return a line for a shell: a command with its words and flags, those that are None or False left out.

    The results folder is named unless it is the default one.

    >>> command("profile", results="my results", architecture="resnet18", compile=True, subset=None)
    "adasearch profile --architecture resnet18 --compile --results 'my results'"
    >>> command("confirm", results="results", study=["a", "b"])
    'adasearch confirm --study a --study b'
    """
    parts = ["adasearch", name, *words]
    for flag, value in {**flags, "results": None if results == DEFAULT_RESULTS else results}.items():
        dashed = f"--{flag.replace('_', '-')}"
        if value is True:
            parts.append(dashed)
        elif value is not None and value is not False:
            values = value if isinstance(value, (list, tuple)) else [value]
            parts += [part for each in values for part in (dashed, str(each))]
    return shlex.join(parts)
