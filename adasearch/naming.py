"""What studies are called."""

import re

__all__ = ["slug", "source_of", "study_name"]


def study_name(architecture: str, scale: str, scheduler: str, dataset: str, prefix: str | None = None) -> str:
    """Return a study's default name; paths, ``module:function`` and ``module:Class`` become slugs.

    >>> study_name("resnet18", "nano", "deba", "parquet:../data/cifar10/")
    'resnet18-nano-deba-parquet-cifar10'
    >>> study_name("resnet18", "full", "deba", "folder:/data/imagenet@224")
    'resnet18-full-deba-folder-imagenet-224'
    >>> study_name("my_package.nets:make_net", "full", "my_module:MyScheduler", "digits")
    'my_package.nets-make_net-full-my_module-MyScheduler-digits'
    """
    parts = [prefix, architecture, scale, scheduler, dataset]
    return "-".join(slug(part) for part in parts if part)


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
