"""What the profiles of one network are taken of, and with."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from adasearch.callbacks import Progress, Say
from adasearch.profiles.profile import Setting, here
from adasearch.records import Params
from adasearch.runtime import RunOptions
from adasearch.store.store import Store

if TYPE_CHECKING:
    from adasearch.studies.request import ResolvedStudy
    from adasearch.tasks.base import Data

__all__ = ["ProfileRun"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ProfileRun:
    """A network on its data, the store that keeps its profiles, and how this process goes about it.

    ``threads`` are those that it computes with.
    """

    study: "ResolvedStudy"
    store: Store
    say: Say
    progress: Progress
    options: RunOptions
    threads: int

    @property
    def setting(self) -> Setting:
        """What the profiles are of."""
        return here(self.study.record, self.threads)

    @property
    def params(self) -> Params:
        """The fields of the training, each fixed or at its default."""
        return {**self.study.train_space.fixed(), **self.study.train_space.first()}

    def data(self) -> "Data | None":
        """Return the data set; None for a training function, which has its own."""
        if self.study.record.task == "own":
            return None
        from adasearch.tasks.registry import load_data

        return load_data(self.study.data, progress=self.progress)
