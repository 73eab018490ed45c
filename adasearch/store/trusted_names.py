"""Which ``module:attribute`` out of a results folder may be imported, where a stored study is run again."""

from pathlib import Path

from adasearch.errors import InputError
from adasearch.io.filesystem import is_local, locate
from adasearch.records import StudyRecord, TrialRecord
from adasearch.user_code import find_own

__all__ = ["check_stored_names"]


def check_stored_names(results: str, study: StudyRecord, trial: TrialRecord) -> None:
    """Check what is imported to run a trial of a stored study again: the study's own names.

    Nothing is imported here. A module that lies in the results folder is never one of the user's.

    Raises:
        InputError: the trial's scheduler is neither its study's nor one that comes with adasearch, or a
            module lies in the results folder.
    """
    if ":" in trial.scheduler and trial.scheduler != study.scheduler:
        raise InputError(f"{trial.trial_id} names {trial.scheduler}, but its study ran {study.scheduler}")
    files, root = locate(results)
    for name in (study.architecture, study.scheduler, study.dataset):
        module, colon, _ = name.partition(":")
        if colon and is_local(files) and _lies_in(module, Path(root).resolve()):
            raise InputError(
                f"study {study.study} names {name}, a module in the results folder; nothing there is executed"
            )


def _lies_in(module: str, folder: Path) -> bool:
    rest = module.partition(".")[2]
    found = find_own(module)
    if found is None:
        return False
    places = [Path(place, *rest.split(".")) for place in found.submodule_search_locations or ()]
    places += [Path(found.origin)] if found.has_location and found.origin else []
    return any(folder in (place.resolve(), *place.resolve().parents) for place in places)
