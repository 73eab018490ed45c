"""What the profiles of searched networks say of any schedule and of a constant batch, as a table."""

from collections.abc import Sequence

from adasearch.analysis.batch_by_runs import FittedBatch, TooFewRuns, batch_by_runs
from adasearch.analysis.ceilings import ceilings_of
from adasearch.analysis.prediction import ceiling
from adasearch.io.tables import Column, fraction, times
from adasearch.profiles.clock import profile_of
from adasearch.profiles.profile import Setting, SpeedProfile, StabilityProfile
from adasearch.profiles.profile_store import ProfileStore
from adasearch.records import StudyRecord
from adasearch.store.store import Store

__all__ = ["CEILING_COLUMNS", "ceiling_rows", "network_of", "profiles_of_study"]

CEILING_COLUMNS = [
    Column("architecture", "architecture"),
    Column("dataset", "dataset"),
    Column("batch", "best constant batch (at most 5 % more)"),
    Column("default", "the default size costs"),
    Column("runs", "best constant batch by runs (at most 5 % more)"),
    Column("gamma", "gamma of the noise scale"),
    Column("seconds", "any schedule, any device: seconds saved at most"),
    Column("steps", "excess steps saved at most"),
    Column("path", "the best schedule, this device: seconds saved", fraction),
    Column("larger", "a larger batch, this device: faster at most", times),
]


def network_of(setting: Setting) -> tuple[str, str, str]:
    """Return what two profiles must share to be of the same network and data."""
    return setting.architecture, setting.scale, setting.fingerprint


def profiles_of_study(
    study: StudyRecord, speed: Sequence[SpeedProfile], steady: Sequence[StabilityProfile]
) -> tuple[SpeedProfile, StabilityProfile] | None:
    """Return the speed profile that a study is judged by, else the newest, and the newest stability profile.

    None where one of them is not there.
    """
    own = profile_of(study, study.device_profile, speed) if study.device_profile else None
    network = (study.architecture, study.scale, study.fingerprint)
    fast = [each for each in speed if network_of(each.setting) == network]
    calm = [each for each in steady if network_of(each.setting) == network]
    if not calm or not (own or fast):
        return None
    newest = own or max(fast, key=lambda each: each.created_at)
    return newest, max(calm, key=lambda each: each.created_at)


def ceiling_rows(store: Store, studies: Sequence[StudyRecord]) -> list[dict[str, object]]:
    """Return a row for each network of some studies whose profiles say something, in words."""
    profiles = ProfileStore(store.name)
    speed, steady = profiles.speed(), [each for each in profiles.stability() if not each.diverged]
    rows: dict[tuple[str, str, str], dict[str, object]] = {}
    for study in studies:
        pair = profiles_of_study(study, speed, steady)
        found = None if pair is None else ceilings_of(pair[0].curve, pair[1])
        if pair is None or found is None:
            continue
        batch = found.batch
        seconds, steps = found.shares()
        rows[network_of(pair[1].setting)] = {
            "architecture": study.architecture,
            "dataset": study.dataset,
            "batch": f"{batch.written(batch.best)} ({batch.band})",
            "default": f"{batch.written(batch.default)}: {batch.cost:.2f} times as much",
            "runs": _by_runs(batch_by_runs(store, pair[1].setting, pair[0].curve, pair[1].batch_size)),
            "gamma": found.spread,
            "seconds": seconds,
            "steps": steps,
            "path": found.path,
            "larger": ceiling(pair[0].curve, pair[1].batch_size),
        }
    return list(rows.values())


def _by_runs(found: FittedBatch | TooFewRuns | None) -> str | None:
    if isinstance(found, FittedBatch):
        return f"{found.best} ({found.batch.band})"
    return None if found is None else found.brief
