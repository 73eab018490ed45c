"""An adaptive batch size for the ``Trainer`` of Hugging Face transformers, in one process or several.

The Trainer counts in steps, whose number no one knows beforehand where sizes change; here all counts in
examples: ``num_train_epochs`` epochs of them or, with ``max_steps``, as many as so many steps at the first
batch size have. The learning-rate schedule runs over the same examples, so it is where it would be at a
constant size. ``logging_steps``, ``save_steps`` and ``eval_steps`` count updates, as ever.
"""

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from adasearch.controller.controller import BatchSizeController
from adasearch.errors import InputError, require

__all__ = ["AdaptiveBatches"]


class AdaptiveBatches:
    """Mix it in before a ``Trainer``: ``class MyTrainer(AdaptiveBatches, Trainer)``.

    The batch size of the run's first batch is ``per_device_train_batch_size`` times the processes. The
    controller is built when the training begins, and its state lies in the Trainer's checkpoints.

    Args:
        adaptive: what :class:`~adasearch.BatchSizeController` is given beside the model, the optimiser, the
            data, the first batch size, the seed and the length: ``{"scheduler": "deba", "limits": ...}``.
        arguments: of the ``Trainer``.
        named: of the ``Trainer``.

    Attributes:
        controller: from the beginning of the training on.

    Raises:
        InputError: the Trainer accumulates, trains in float16 or with DeepSpeed or FSDP, or groups or drops
            examples.
    """

    controller: BatchSizeController

    def __init__(self, *arguments: Any, adaptive: Mapping[str, Any], **named: Any) -> None:
        super().__init__(*arguments, **named)
        for name in ("set_initial_training_values", "_init_training_state", "_prepare_for_training"):
            if not hasattr(super(), name):
                raise InputError(f"this Trainer has no {name}(): install transformers 5.20 to 5.24")
        self._options = dict(adaptive)
        self._saved: Any = None
        args = self._trainer.args
        for name, works in (
            ("gradient_accumulation_steps", 1),
            ("fp16", False),
            ("auto_find_batch_size", False),
            ("dataloader_drop_last", False),
            ("dataloader_persistent_workers", False),
            ("train_sampling_strategy", "random"),
        ):
            found = getattr(args, name, works)
            require(found == works, f"an adaptive batch size needs {name}={works}", **{name: found})
        if self._trainer.is_deepspeed_enabled or self._trainer.is_fsdp_enabled or args.n_gpu > 1:
            raise InputError(
                "an adaptive batch size works in one process per device, under DistributedDataParallel: "
                "start it with torchrun, and leave DeepSpeed and FSDP out"
            )
        self._trainer.add_callback(_callback(self))

    @property
    def _trainer(self) -> Any:
        """This object as the Trainer that it is, too."""
        return self

    @property
    def _first_size(self) -> int:
        return int(self._trainer.args.per_device_train_batch_size * self._trainer.args.world_size)

    @property
    def _epochs(self) -> float:
        args = self._trainer.args
        if args.max_steps > 0:
            return float(args.max_steps * self._first_size / len(self._trainer.train_dataset))
        return float(args.num_train_epochs)

    def get_train_dataloader(self) -> Any:
        """Return a loader of the data, which draws from the controller's sampler once there is one."""
        return _Loader(self)

    def set_initial_training_values(self, *_: Any) -> tuple[Any, ...]:
        """Return what the Trainer counts by: epochs, and more updates in each than there can be."""
        examples = len(self._trainer.train_dataset)
        total = max(1, round(self._epochs * examples))
        steps = -(-total // self._first_size)  # at the first batch size: the learning-rate schedule's length
        return math.ceil(self._epochs), examples, examples, total, self._first_size, examples, steps

    def _init_training_state(
        self, max_steps: int, per_epoch: int, epochs: int, resume_from_checkpoint: Any, trial: Any
    ) -> tuple[int, int]:
        """Go on in the epoch in which the controller was, with no batches to skip: the sampler knows."""
        parent: Any = super()
        parent._init_training_state(max_steps, per_epoch, epochs, resume_from_checkpoint, trial)
        if resume_from_checkpoint is None:
            return 0, 0
        path = Path(resume_from_checkpoint, _file(self._trainer.args.process_index))
        if not path.exists():
            path = path.with_name(_file(0))
        if not path.exists():
            raise InputError(
                f"{resume_from_checkpoint} has no {path.name}: it is no checkpoint of this Trainer"
            )
        self._saved = torch.load(path, weights_only=True)
        return int(self._saved["sampler"]["epoch"]), 0

    def _prepare_for_training(
        self, max_steps: int, train_dataloader: Any, resume_from_checkpoint: Any
    ) -> tuple[Any, Any]:
        """Build the controller around what the Trainer wrapped."""
        parent: Any = super()
        trainer, args = self._trainer, self._trainer.args
        if isinstance(trainer.lr_scheduler, _Followed):
            trainer.lr_scheduler = trainer.lr_scheduler.schedule
        model, loader = parent._prepare_for_training(max_steps, train_dataloader, resume_from_checkpoint)
        seed = args.seed if args.data_seed is None else args.data_seed
        self.controller = controller = BatchSizeController(
            model,
            trainer.optimizer,
            trainer.train_dataset,
            batch_size=self._first_size,
            epochs=self._epochs,
            whole_batches=True,
            **{"seed": seed, **self._options},
        )
        schedule = trainer.lr_scheduler
        controller.curve(lambda *_: schedule, max_steps)
        trainer.lr_scheduler = trainer.callback_handler.lr_scheduler = _Followed(schedule)
        if self._saved is not None:
            controller.load_state_dict(self._saved)
            self._saved = None
        return model, loader

    def training_step(self, model: nn.Module, inputs: Any, *arguments: Any, **named: Any) -> Tensor:
        """Train on a batch, and measure it."""
        self.controller.begin()
        parent: Any = super()
        loss: Tensor = parent.training_step(model, inputs, *arguments, **named)
        self.controller.record(loss)
        self.controller.measure()
        return loss

    def log(self, logs: dict[str, float], *arguments: Any, **named: Any) -> None:
        """Log the batch size, too."""
        if "loss" in logs:
            logs = {**logs, "batch_size": self.controller.batch_size}
        parent: Any = super()
        parent.log(logs, *arguments, **named)

    def _batches(self) -> Iterator[Any]:
        """Hand out the rest of an epoch."""
        trainer, args = self._trainer, self._trainer.args
        data, collate = trainer.train_dataset, trainer.data_collator
        if hasattr(data, "column_names"):  # of the datasets library
            data = trainer._remove_unused_columns(data, description="training")
        else:
            collate = trainer._get_collator_with_removed_columns(collate, description="training")
        return iter(
            DataLoader(
                data,
                batch_sampler=self.controller.sampler,
                collate_fn=collate,
                num_workers=args.dataloader_num_workers,
                pin_memory=args.dataloader_pin_memory and torch.cuda.is_available(),
                prefetch_factor=args.dataloader_prefetch_factor,
            )
        )


class _Loader:
    """Stands for the loader until the controller is built; has no length, since that changes."""

    def __init__(self, trainer: AdaptiveBatches) -> None:
        self._adaptive = trainer
        self.dataset = trainer._trainer.train_dataset

    def __iter__(self) -> Iterator[Any]:
        return self._adaptive._batches()


class _Followed:
    """A schedule whose steps the controller makes, by examples, and the Trainer does not."""

    def __init__(self, schedule: Any) -> None:
        self.schedule = schedule

    def step(self) -> None:
        """Leave it to the controller."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self.schedule, name)


def _file(process: int) -> str:
    return f"adasearch_{process}.pt"


def _callback(trainer: AdaptiveBatches) -> Any:
    """Return a callback that tells the controller what becomes of each batch."""
    from transformers import TrainerCallback

    class Follow(TrainerCallback):  # type: ignore[misc, unused-ignore]
        def on_pre_optimizer_step(self, *_: Any, **__: Any) -> None:
            trainer.controller.before_update()

        def on_optimizer_step(self, *_: Any, **__: Any) -> None:
            trainer.controller.after_update()

        def on_step_end(self, *given: Any, **_: Any) -> None:
            _args, state, control = given
            controller = trainer.controller
            state.epoch = controller.examples_seen / len(trainer._trainer.train_dataset)
            over = controller.progress >= 1
            if over or state.global_step >= state.max_steps:  # at which the Trainer itself would stop
                control.should_training_stop = over

        def on_epoch_end(self, *_: Any, **__: Any) -> None:
            trainer.controller.sampler.end_epoch()

        def on_save(self, args: Any, state: Any, *_: Any, **__: Any) -> None:
            folder = Path(args.output_dir, f"checkpoint-{state.global_step}")
            torch.save(trainer.controller.state_dict(), folder / _file(args.process_index))

    return Follow()
