"""What studies are called, and what a name out of a file may be."""

import re

from adasearch.errors import InputError

__all__ = ["is_name", "printable", "slug", "source_of", "study_name"]

LONGEST = 200  # bytes of a name; file systems take 255, of which drafts and endings need some
NUMBERED = 20  # bytes that a trial's id adds to its study's name


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


def study_name(architecture: str, scale: str, scheduler: str, dataset: str, prefix: str | None = None) -> str:
    """Return a study's default name; paths, ``module:function`` and ``module:Class`` become slugs.

    >>> study_name("resnet18", "nano", "deba", "parquet:../data/cifar10/")
    'resnet18-nano-deba-parquet-cifar10'
    >>> study_name("resnet18", "full", "deba", "folder:/data/imagenet@224")
    'resnet18-full-deba-folder-imagenet-224'
    >>> study_name("my_package.nets:make_net", "full", "my_module:MyScheduler", "digits")
    'my_package.nets-make_net-full-my_module-MyScheduler-digits'

    Raises:
        InputError: it is too long for a folder's name.
    """
    parts = [prefix, architecture, scale, scheduler, dataset]
    name = "-".join(slug(part) for part in parts if part)
    if len(name) > LONGEST - NUMBERED:
        raise InputError(
            f"a study's name must have at most {LONGEST - NUMBERED} characters but {name!r} has {len(name)}; "
            "it is made of --study and the names of network, scheduler and data"
        )
    return name


def slug(text: str) -> str:
    """Return a name that may be a folder's; of a path its last part."""
    kind, colon, place = text.partition(":")
    last = f"{kind}-{place.rstrip('/').rsplit('/', 1)[-1]}" if colon else text
    return re.sub(r"[^A-Za-z0-9_.]+", "-", last).strip("-.")


def source_of(dataset: str) -> tuple[str, int | None]:
    """Return the source and the image size of a data set as studies name it.

    >>> source_of("folder:/data/pets@64"), source_of("digits")
    (('folder:/data/pets', 64), ('digits', None))
    """
    source, at, size = dataset.rpartition("@")
    return (source, int(size)) if at and size.isdigit() else (dataset, None)
