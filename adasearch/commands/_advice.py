"""The answer of ``adasearch advise`` for one network."""

from dataclasses import dataclass

from adasearch import counts
from adasearch.io.advice import command

__all__ = ["HELD", "NOTHING", "NO_NOISE", "UNBOUNDED", "Advice"]

NO_NOISE = "the noise scale could not be measured, so that only trainings can tell"
NOTHING = "no schedule tried was 5% faster at an equal error, or better in an equal time"
UNBOUNDED = (
    "its critical batch lies at an end of the sizes that were tried, at some mark: schedules follow it, but "
    "the noise scale stands in the model"
)
HELD = "where a batch that grows late can lower the error (a rate that decays may be worth more)"
UNTRAINED = "with a learning rate of its own and, if it is larger, after more examples (not trained here)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """What came of it for one network.

    Args:
        architecture: the network, or the training function in place of one.
        pays: whether a changing batch pays; None where that is not clear.
        because: why, in words.
        batch_size: the constant batch that is worth taking, None where it is not known.
        lr: the learning rate that it was trained at, None where it was not.
        study: of the schedule that pays, None without one.
        trainings: what was spent, in trainings of the whole length.
    """

    architecture: str
    pays: bool | None
    because: str
    batch_size: int | None
    lr: float | None
    study: str | None
    trainings: float

    def said(self, sequence_length: int | None, results: str, *, trained: bool) -> list[str]:
        """Return it in words; ``trained`` is whether the constant batch was."""
        word = {True: "a changing batch pays", False: "not worth it here", None: "not clear"}[self.pays]
        if self.study is not None:
            taken = command("export", self.study, results=results, output="schedule.yaml")
            then = f"; '{taken}' takes the schedule along"
        elif self.lr is not None and self.batch_size is not None:
            size = counts.told(self.batch_size, sequence_length)
            then = f"; take a constant batch of {size} at a learning rate of {self.lr:.3g}"
        elif self.batch_size is not None:
            size = counts.told(self.batch_size, sequence_length)
            then = f"; by the model a constant batch of {size} costs least to an equal loss, {UNTRAINED}"
        else:
            then = ""
        shown = f"'{command('compare', results=results)}' shows what was trained"
        lines = [f"{word}: {self.because}{then} ({self.trainings:.1f} trainings spent)"]
        return [*lines, shown] if trained else lines
