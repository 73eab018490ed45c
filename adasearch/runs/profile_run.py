"""What the profiles of one network are taken of, and with."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from adasearch.callbacks import Progress, Say
from adasearch.profiles.profile import DEPENDS_ON, Setting, here
from adasearch.records import Params, TrialRecord
from adasearch.runtime import RunOptions
from adasearch.store.store import Store
from adasearch.studies.wanted import study_name

if TYPE_CHECKING:
    from adasearch.studies.request import ResolvedStudy
    from adasearch.tasks.base import Data

__all__ = ["ProfileRun", "is_over"]


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

    def name(self, word: str, spans: Sequence[object]) -> str:
        """Return a profile's name, with ``word``, that only the same runs on the same device have."""
        record, setting = self.study.record, asdict(self.setting)
        del setting["sequence_length"]  # which the fingerprint tells, and version 0.2.0 did not know
        setting["versions"] = {name: self.setting.versions.get(name) for name in DEPENDS_ON}
        if (code := self.setting.versions.get("source")) is not None:
            setting["versions"]["source"] = code
        whole = json.dumps([setting, spans, dict(sorted(self.params.items()))], sort_keys=True, default=str)
        digest = hashlib.blake2b(whole.encode(), digest_size=4).hexdigest()
        return f"{study_name(record.architecture, record.scale, word, record.dataset)}-{digest}"

    def data(self) -> "Data | None":
        """Return the data set; None for a training function, which has its own."""
        if self.study.record.task == "own":
            return None
        from adasearch.tasks.registry import load_data

        return load_data(self.study.data, progress=self.progress)


def is_over(trial: TrialRecord) -> bool:
    """Tell whether a run is not to be done again: a crash is, a divergence would come again."""
    return trial.status == "complete" or trial.cause == "diverged"
