"""What studies are called, and what a name out of a file may be."""

import re

__all__ = ["is_name", "printable", "slug"]

LONGEST = 200  # bytes of a name; file systems take 255, of which drafts and endings need some


def is_name(text: str) -> bool:
    """Tell whether a text may name a file or a folder of ours: it does not leave its folder, nor hide there.

    >>> is_name("resnet18-nano-deba-digits"), is_name("../other"), is_name(".lock"), is_name("a\\n")
    (True, False, False, False)
    """
    short = 0 < len(text.encode(errors="replace")) <= LONGEST
    return short and text.isprintable() and text[0] != "." and not set(text) & set("/\\:")


def printable(text: str) -> str:
    r"""Return a text out of a file as a terminal may show it: characters that steer it are spelt out.

    >>> printable("red \x1b[31m, back to front \u202e")
    'red \\x1b[31m, back to front \\u202e'
    """
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)


def slug(text: str) -> str:
    """Return a name that may be a folder's; of a path its last part."""
    kind, colon, place = text.partition(":")
    last = f"{kind}-{place.rstrip('/').rsplit('/', 1)[-1]}" if colon else text
    return re.sub(r"[^A-Za-z0-9_.]+", "-", last).strip("-.")
