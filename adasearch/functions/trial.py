"""What a training function of the user's own is handed: a trial of a search, in a loop of its own."""

from collections.abc import Iterable, Iterator, Sequence, Sized
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.amp.grad_scaler import GradScaler
from torch.nn.parallel import DistributedDataParallel
from torch.optim import Optimizer

from adasearch.controller.controller import BatchSizeController
from adasearch.errors import InputError
from adasearch.functions.evaluation import Evaluate
from adasearch.functions.function_run import FunctionRun
from adasearch.functions.saved import Stateful
from adasearch.records import Limits, Params, Value

__all__ = ["Trial"]

M = TypeVar("M", bound=nn.Module)
T = TypeVar("T")


class Trial:
    """One trial of a search, for a training function of the user's own.

    ::

        def train(trial):
            model = trial.prepare(make_net(dropout=trial.params["dropout"]))
            optimizer = torch.optim.AdamW(model.parameters(), lr=trial.lr)
            controller = trial.controller(model, optimizer, data, evaluate=lambda: loss_on(val_data, model))
            trial.checkpoint(model=model, optimizer=optimizer)
            loader = DataLoader(data, batch_sampler=controller.sampler)
            for batch in trial.batches(loader):
                controller.step(loss_of(model, batch))

    It is searched by ``adasearch search --train my_loop:train``. With several workers the function runs in as
    many processes, which take their shares of each batch.

    Attributes:
        params: the trial's parameters by name: ``lr``, ``batch_size``, and those of the user's own space.
        lr: the learning rate, of one's own schedule at factor 1.
        batch_size: to begin with, in examples per update over all workers.
        seed: of the weights and the order of the examples; PyTorch, NumPy and ``random`` are seeded with it.
        device: to train on.
        rank: of this process among the trial's workers.
        world_size: how many there are.
        limits: the batch sizes that the trial keeps to.
        phase: "search", "confirm" or "rerun"; "rehearsal" while the first steps are tried before a search.
        role: what the run stands for in a confirmation: "candidate", "reference" and so on.
        epochs: length of the run.
    """

    def __init__(self, run: FunctionRun) -> None:
        task, function = run.task, run.function
        self._run = run
        self.params: Params = dict(function.params)
        self.lr: float = task.config.hyperparameters.lr
        self.batch_size: int = task.config.hyperparameters.batch_size
        self.seed: int = task.config.seed
        self.device: torch.device = run.device
        self.rank: int = run.rank
        self.world_size: int = run.world
        self.limits: Limits = task.limits
        self.phase: str = function.phase
        self.role: str = function.role
        self.epochs: float = function.epochs

    def prepare(self, model: M) -> M:
        """Return a network on the trial's device, in ``DistributedDataParallel`` with several workers.

        The type is that of the network; under DDP its own attributes are those of ``model.module``.
        """
        moved = model.to(self.device)
        return moved if self.world_size == 1 else DistributedDataParallel(moved)  # type: ignore[return-value]

    def controller(
        self,
        model: nn.Module,
        optimizer: Optimizer,
        data: Sized,
        *,
        evaluate: Evaluate,
        test: Evaluate | None = None,
        device_batch: int | None = None,
        weights: Tensor | Sequence[float] | None = None,
        drop_last: bool = False,
        whole_batches: bool = False,
        scaler: GradScaler | None = None,
    ) -> BatchSizeController:
        """Return the controller of the loop, with the trial's scheduler, sizes, intervals and seed.

        Args:
            model: the network, as :meth:`prepare` returned it.
            optimizer: signals are of what it updates.
            data: the training data, or anything of their length.
            evaluate: returns what is minimised on data that are not trained on, or several figures by name;
                ``loss`` among them is the validation loss that schedulers see, and ``NAME_se`` the standard
                error of the objective ``NAME``. Called in every process, now and then at the end of an
                interval; the values are averaged over processes. Where it leaves the network in evaluation
                mode, or gradients switched off, that is taken back.
            test: likewise on the test data, at the end of a confirmation's runs; None evaluates there as
                elsewhere.
            device_batch: greatest number of examples in one forward pass; larger batches are accumulated.
            weights: of the examples, to draw by.
            drop_last: leave out the rest of a pass that does not fill a batch.
            whole_batches: each item is a whole batch, for a loss that cannot be put together from parts.
            scaler: of losses in half precision. See :class:`~adasearch.BatchSizeController` for these.

        Raises:
            InputError: called twice, or what the controller refuses.
        """
        return self._run.controller(
            model,
            optimizer,
            data,
            evaluate=evaluate,
            test=test,
            device_batch=device_batch,
            weights=weights,
            drop_last=drop_last,
            whole_batches=whole_batches,
            scaler=scaler,
        )

    def checkpoint(self, **objects: Stateful) -> bool:
        """Hand over once what a checkpoint holds beside the controller and the random numbers to come.

        A trial that goes on has their states loaded at once: give them when all are built, before the loop.
        Checkpoints are written at the ends of intervals, at most one in 30 seconds or as
        ``--checkpoint-every`` says. Without any, a trial that was cut begins anew.

        Returns:
            Whether a checkpoint was loaded.

        Raises:
            InputError: an object without ``state_dict`` and ``load_state_dict``, or within the loop.
        """
        for name, each in objects.items():
            if not (hasattr(each, "state_dict") and hasattr(each, "load_state_dict")):
                raise InputError(
                    f"trial.checkpoint({name}=...) takes what has state_dict and load_state_dict, but got "
                    f"{type(each).__name__}"
                )
        return self._run.checkpoint(objects)

    def batches(self, loader: Iterable[T]) -> Iterator[T]:
        """Yield what a loader of the controller's sampler does, over as many passes as the run has.

        It ends when the budget is used, or when the search stops the trial: return then.

        Raises:
            InputError: there is no controller yet, the loader is not of its sampler or ends with its first
                pass, or the loop trains nothing and so would never end.
        """
        return self._run.batches(loader)

    def value(self, name: str, default: Value) -> Value:
        """Return a parameter, or a default where the space has none of this name."""
        return self.params.get(name, default)
