"""What the tables of ``compare`` mean, in words."""

from collections.abc import Sequence

from adasearch.analysis.enough import MAX_ERROR, MIN_TRIALS
from adasearch.objective import is_fraction
from adasearch.records import StudyRecord

__all__ = ["notes", "settings_note", "units"]

OWN_NOTE = (
    "the standard error of a training function's objective is what its evaluate returns as NAME_se; in place "
    "of one that is missing stands a point of an error, or half a percent of anything else"
)


def notes(studies: Sequence[StudyRecord]) -> list[str]:
    """Return what the columns of the search table mean."""
    clocks = " and ".join(sorted({_clock(study) for study in studies}))
    fractions = any(is_fraction(study.objective) for study in studies)
    doubt = f", or no error is below {MAX_ERROR:.0%}" if fractions else ""
    text = any(study.sequence_length is not None for study in studies)
    return [
        *(["loss: mean cross entropy on the validation split in nats per token"] if text else []),
        f"seconds: training time of one trial by the {clocks} clock; speed-up and time saved: against the "
        "reference, the fastest constant trial within one standard error of the best; vs default: against "
        "the untuned default constant; a dash: its error lies above that bound, so that times do not "
        "compare, or it made no change of batch size, so that it is a constant run of other settings",
        *([OWN_NOTE] if any(study.task == "own" for study in studies) else []),
        "complete: trials chosen from; acted: those that changed the batch size; too few to say: fewer than "
        f"{MIN_TRIALS} trials of it or of the constant batch ended{doubt}",
    ]


def _clock(study: StudyRecord) -> str:
    return f"modelled ({study.device_profile})" if study.clock == "modelled" else study.clock


def settings_note(studies: Sequence[StudyRecord]) -> str | None:
    """Return what the settings of language models count; None where there are none."""
    lengths = sorted({study.sequence_length for study in studies if study.sequence_length is not None})
    if not lengths:
        return None
    known = " or ".join(map(str, lengths))
    return f"settings count sequences, as flags do, of {known} tokens; other tables count tokens"


def units(studies: Sequence[StudyRecord]) -> list[str]:
    """Return what the settings of these studies count."""
    note = settings_note(studies)
    said = [] if note is None else [note]
    if any(study.scheduler == "deba" for study in studies):
        spans = sorted({round(study.interval / study.train_examples, 3) for study in studies})
        epochs = ", ".join(f"{span:g}" for span in spans)
        said.append(
            f"window and cooldown count intervals (here of {epochs} epochs); in the DEBA paper they count "
            "epochs"
        )
    return said
