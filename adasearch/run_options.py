"""How a run goes about on a machine; none of it changes what a study is."""

from dataclasses import dataclass

from adasearch.errors import InputError

__all__ = ["RunOptions"]

GIB = 2**30


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """What a trial's workers are told beside the trial.

    Args:
        device_batch: greatest number of examples per forward pass and device, at least 4; None finds it.
        memory_gib: memory that a worker on a CPU may take, in GiB; None for its share of 90 % of the
            machine's.
        checkpoint_every: intervals between two checkpoints, 0 for none; None for one every 30 seconds.
    """

    device_batch: int | None = None
    memory_gib: float | None = None
    checkpoint_every: int | None = None

    @property
    def memory_limit(self) -> int | None:
        """``memory_gib`` in bytes."""
        return None if self.memory_gib is None else int(self.memory_gib * GIB)

    def check(self) -> None:
        """Refuse values that break a rule.

        Raises:
            InputError: the first of them.
        """
        if self.device_batch is not None and self.device_batch < 4:
            raise InputError(f"--device-batch must be at least 4 but got {self.device_batch}")
        if self.memory_gib is not None and not 0 < self.memory_gib < float("inf"):
            raise InputError(f"--memory-per-worker must be greater than 0 but got {self.memory_gib:g}")
        if self.checkpoint_every is not None and self.checkpoint_every < 0:
            raise InputError(f"--checkpoint-every must be at least 0 but got {self.checkpoint_every}")
