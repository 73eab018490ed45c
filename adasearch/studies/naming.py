"""What studies are called, and what of a study is a name of the user's own code."""

from adasearch.errors import InputError
from adasearch.io.text import MAX_NAME_BYTES, slug
from adasearch.records import StudyRecord

__all__ = ["NUMBERED", "import_paths", "study_name"]

NUMBERED = 20  # bytes that a trial's id adds to its study's name


def study_name(
    architecture: str, scale: str | None, scheduler: str, dataset: str, prefix: str | None = None
) -> str:
    """Return a study's default name; paths, ``module:function`` and ``module:Class`` become slugs.

    ``scale`` is None for a network of the user's own, which has none.

    >>> study_name("resnet18", "nano", "deba", "parquet:../data/cifar10/")
    'resnet18-nano-deba-parquet-cifar10'
    >>> study_name("resnet18", "full", "deba", "folder:/data/imagenet@224")
    'resnet18-full-deba-folder-imagenet-224'
    >>> study_name("my_package.nets:make_net", None, "my_module:MyScheduler", "digits")
    'my_package.nets-make_net-my_module-MyScheduler-digits'

    Raises:
        InputError: it is too long for a folder's name.
    """
    parts = [prefix, architecture, scale, scheduler, dataset]
    name = "-".join(slug(part) for part in parts if part)
    if len(name) > MAX_NAME_BYTES - NUMBERED:
        raise InputError(
            f"a study's name must have at most {MAX_NAME_BYTES - NUMBERED} characters but {name!r} has "
            f"{len(name)}; it is made of --study and the names of network, scheduler and data"
        )
    return name


def import_paths(study: StudyRecord) -> list[str]:
    """Return what a study names as ``module:attribute``, which ``folder:PATH`` and ``text:PATH`` are not."""
    from adasearch.data.sources.registry import KINDS
    from adasearch.data.text.kinds import PLACED

    names = (study.architecture, study.scheduler, study.source)
    return [name for name in names if ":" in name and name.partition(":")[0] not in {*KINDS, *PLACED}]
