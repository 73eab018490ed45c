"""Texts that are shown or that name files: names, slugs, what steers a terminal, and secrets."""

import re
import textwrap

__all__ = ["counted", "cut", "is_name", "printable", "redacted", "slug", "source_of", "wrapped"]

MOST_CHARACTERS = 2000  # of a message
MOST_COLUMNS = 80  # of prose beside a table
GAP = " [...] "
MAX_NAME_BYTES = 200  # bytes of a name; file systems take 255, of which drafts and endings need some
_USER = re.compile(r"(://)[^\s@/:]*:(?!\d+/)[^\s@]*@")  # not a port; an unquoted secret may hold slashes
_QUERY = re.compile(
    r"(?i)([?&][^=&\s]*(?:key|secret|token|password|credential|signature)[^=&\s]*=)[^&\s'\"]+"
)


def is_name(text: str) -> bool:
    """Tell whether a text may name a file or a folder of ours: it does not leave its folder, nor hide there.

    >>> is_name("resnet18-nano-deba-digits"), is_name("../other"), is_name(".lock"), is_name("a\\n")
    (True, False, False, False)
    """
    short = 0 < len(text.encode(errors="replace")) <= MAX_NAME_BYTES
    return short and text.isprintable() and text[0] != "." and not set(text) & set("/\\:")


def printable(text: str) -> str:
    r"""Return a text out of a file as a terminal may show it: characters that steer it are spelt out.

    >>> printable("red \x1b[31m, back to front \u202e")
    'red \\x1b[31m, back to front \\u202e'
    """
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)


def cut(text: str) -> str:
    """Return a text that is no longer than a person reads, without its middle if need be.

    >>> len(cut("x" * 100_000)), cut("short")
    (2000, 'short')
    """
    half, rest = divmod(MOST_CHARACTERS - len(GAP), 2)
    return text if len(text) <= MOST_CHARACTERS else f"{text[: half + rest]}{GAP}{text[-half:]}"


def counted(count: int, what: str) -> str:
    """Return a number with its noun.

    >>> counted(1, "finding"), counted(3, "new profile")
    ('1 finding', '3 new profiles')
    """
    return f"{count} {what}{'' if count == 1 else 's'}"


def wrapped(text: str, width: int | None = None) -> str:
    """Return prose on lines of at most 80 characters, or of a narrower terminal's ``width``.

    >>> wrapped("one two three", 8).splitlines()
    ['one two', '  three']
    """
    columns = min(MOST_COLUMNS, MOST_COLUMNS if width is None else width)
    return textwrap.fill(
        text, columns, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False
    )


def slug(text: str) -> str:
    """Return a name that may be a folder's; of a path its last part."""
    kind, colon, place = text.partition(":")
    last = f"{kind}-{place.rstrip('/').rsplit('/', 1)[-1]}" if colon else text
    return re.sub(r"[^A-Za-z0-9_.]+", "-", last).strip("-.")


def source_of(dataset: str) -> tuple[str, int | None]:
    """Return the source and the image size of a data set as adasearch 0.2 told them: by its name alone.

    >>> source_of("folder:/data/pets@64"), source_of("digits")
    (('folder:/data/pets', 64), ('digits', None))
    >>> source_of("digits@99999999999999999999")
    ('digits@99999999999999999999', None)
    """
    source, at, size = dataset.rpartition("@")
    return (source, int(size)) if at and size.isdecimal() and len(size) < 10 else (dataset, None)


def redacted(text: str) -> str:
    """Return a text with the credentials in its URIs made unreadable.

    >>> redacted("s3://KEY:SECRET@bucket/x?secret_key=SECRET&region=eu and hdfs://host:8020/a@b")
    's3://***@bucket/x?secret_key=***&region=eu and hdfs://host:8020/a@b'
    """
    return _QUERY.sub(r"\1***", _USER.sub(r"\1***@", text))
