"""Groups of options that several commands share: each reaches a command as one frozen value."""

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, get_args

import click

from adasearch.choices import Isolation, Precision, Scale
from adasearch.cli.options import RESULTS
from adasearch.enough import MAX_ERROR, MIN_TRIALS
from adasearch.runtime import TRIALS, RunOptions, Runtime

__all__ = ["run_options", "runtime_options", "slot_options", "training_options"]

Command = Callable[..., Any]

_RUN = [
    click.option(
        "--device-batch",
        type=int,
        metavar="N",
        help="Examples per forward pass and device.  [default: found, and kept for the next run]",
    ),
    click.option(
        "--memory-per-worker",
        "memory_gib",
        type=float,
        metavar="GIB",
        help="What a worker on a CPU may take.  [default: its share of 90 %]",
    ),
    click.option(
        "--checkpoint-every",
        type=int,
        metavar="N",
        help="Intervals between two checkpoints; 0 for none.  [default: one every 30 seconds]",
    ),
    click.option(
        "--silence",
        "silence_minutes",
        type=float,
        default=10,
        show_default=True,
        metavar="MINUTES",
        help="After which a training function of your own (--train) counts as stuck.",
    ),
]


_SELECTION = [
    click.option("--label-column", metavar="NAME", help="Of parquet:, where there are several."),
    click.option("--image-column", metavar="NAME", help="Likewise."),
    click.option("--config", metavar="NAME", help="Configuration of a parquet: set that has several."),
    click.option("--split", metavar="NAME", help="Of parquet: or folder:, to train on.  [default: train]"),
    click.option("--weights", metavar="balanced|COLUMN", help="Draw examples by weight, with replacement."),
]


def run_options(command: Command) -> Command:
    """Add the flags that say how a trial goes about on a device; the command gets them as ``run``."""
    return _added(_RUN, _with_run(command))


def _with_run(command: Command) -> Command:
    @wraps(command)
    def taking(
        *,
        device_batch: int | None,
        memory_gib: float | None,
        checkpoint_every: int | None,
        silence_minutes: float,
        **others: Any,
    ) -> None:
        run = RunOptions(
            device_batch=device_batch,
            memory_gib=memory_gib,
            checkpoint_every=checkpoint_every,
            silence_minutes=silence_minutes,
        )
        command(run=run, **others)

    return taking


def _added(options: Sequence[Callable[[Command], Command]], command: Command) -> Command:
    """Add options to a command, the first one first in its help."""
    for option in reversed(options):
        command = option(command)
    return command


def training_options(command: Command) -> Command:
    """Add the flags that search, train and profile share; the command gets ``request`` and ``run``."""
    options = [
        click.option(
            "--dataset",
            metavar="NAME",
            help="See 'list datasets': digits, cifar10[:ROOT], parquet:PATH, folder:PATH, "
            "module:function, python_source, text:PATH...  [default: digits]",
        ),
        click.option(
            "--image-size",
            type=int,
            metavar="PIXELS",
            help="Resize the shorter side to this and keep the middle square.  [default: images as they are]",
        ),
        *_SELECTION,
        click.option(
            "--sequence-length",
            type=int,
            metavar="TOKENS",
            help="Of an example of text.  [default: 128, at scale full 1024]",
        ),
        click.option(
            "--tokenizer",
            metavar="FILE",
            help="A JSON file of the tokenizers library, for text.  [default: bytes]",
        ),
        click.option(
            "--download", is_flag=True, help="Fetch cifar10, cifar100 or fashion_mnist if it is not there."
        ),
        click.option(
            "--scale",
            type=click.Choice(get_args(Scale)),
            help="Small relatives of the networks, or those of the papers; of no effect on module:function.  "
            "[default: nano]",
        ),
        click.option("--subset", type=int, metavar="N", help="Training examples to use (a stratified draw)."),
        click.option("--epochs", type=float, help="Length of a run.  [default: 20, of text 1]"),
        click.option(
            "--budget",
            metavar="SPAN",
            help="The same in examples (2000ex) or, of text, in tokens (2000000tokens).",
        ),
        click.option(
            "--interval",
            metavar="SPAN",
            help="Between two decisions: epochs (0.5), examples (2000ex), of text tokens (100000tokens).  "
            "[default: 1, of text a twentieth of the run]",
        ),
        click.option(
            "--evaluate-every",
            metavar="LENGTH",
            help="Evaluate at the end of the interval that reaches this: epochs (2) or examples (2000ex).  "
            "[default: 1]",
        ),
        click.option(
            "--seed", type=int, help="Of the split, the weights and the order of the data.  [default: 0]"
        ),
        click.option(
            "--smallest",
            type=int,
            metavar="N",
            help="Least batch size.  [default: 16, of text 4, at least 2 per worker]",
        ),
        click.option(
            "--largest",
            type=int,
            metavar="N",
            help="Greatest batch size.  [default: 2048, at most an eighth of the training examples]",
        ),
        click.option(
            "--precision",
            type=click.Choice(get_args(Precision)),
            help="tf32 needs a GPU; bfloat16 and float16 are automatic mixed precision.  [default: float32]",
        ),
        click.option(
            "--compile/--no-compile",
            default=None,
            help="Let torch.compile make the kernels.  [default: no-compile]",
        ),
        click.option(
            "--per-example/--no-per-example",
            default=None,
            help="Estimate noise from each example's gradient (not with BatchNorm or dropout).  "
            "[default: no-per-example]",
        ),
        *_RUN,
        click.option(
            "--space",
            multiple=True,
            metavar="FILE",
            help="Search space of the scheduler: a YAML file or a name from 'list spaces'; of several "
            "schedulers SCHEDULER=FILE, repeatable.",
        ),
        click.option(
            "--train-space",
            metavar="FILE",
            help="Search space of the training: a YAML file or a name from 'list spaces'.",
        ),
        click.option(
            "--set",
            "fixed",
            multiple=True,
            metavar="FIELD=VALUE",
            help="Fix a field: scheduler/window=15 or train/lr=0.1. Repeatable.",
        ),
        RESULTS,
    ]
    return _added(options, _with_run(_with_request(command)))


def _with_request(command: Command) -> Command:
    @wraps(command)
    def taking(
        *,
        dataset: str | None,
        image_size: int | None,
        sequence_length: int | None,
        tokenizer: str | None,
        label_column: str | None,
        image_column: str | None,
        config: str | None,
        split: str | None,
        weights: str | None,
        download: bool,
        scale: Scale | None,
        subset: int | None,
        epochs: float | None,
        budget: str | None,
        interval: str | None,
        evaluate_every: str | None,
        seed: int | None,
        smallest: int | None,
        largest: int | None,
        precision: Precision | None,
        compile: bool | None,
        per_example: bool | None,
        space: tuple[str, ...],
        train_space: str | None,
        fixed: tuple[str, ...],
        **others: Any,
    ) -> None:
        from adasearch.studies.request import Request

        request = Request(
            dataset=dataset,
            image_size=image_size,
            sequence_length=sequence_length,
            tokenizer=tokenizer,
            label_column=label_column,
            image_column=image_column,
            config=config,
            split=split,
            weights=weights,
            download=download,
            scale=scale,
            subset=subset,
            epochs=epochs,
            budget=budget,
            interval=interval,
            evaluate_every=evaluate_every,
            seed=seed,
            smallest=smallest,
            largest=largest,
            precision=precision,
            compile=compile,
            per_example=per_example,
            space=space or None,
            train_space=train_space,
            fixed=fixed,
        )
        command(request=request, **others)

    return taking


def runtime_options(command: Command) -> Command:
    """Add the flags that say how a search runs; the command gets ``runtime``, ``trials`` and ``workers``."""
    options = [
        click.option(
            "--trials",
            type=int,
            help="Trials per study in all; those that are stored count. Below "
            f"{MIN_TRIALS} that end, or where no error is below {MAX_ERROR:.0%}, the verdict is 'too few to "
            f"say'.  [default: {TRIALS}]",
        ),
        click.option("--workers", type=int, help="Ray Train workers per trial.  [default: 1]"),
    ]
    command = slot_options(command)
    return _added(options, command)


def slot_options(command: Command) -> Command:
    """Add the flags that say what trials run on; the command gets them as ``runtime``."""
    options = [
        click.option("--cpus-per-worker", type=int, default=1, show_default=True),
        click.option(
            "--gpus-per-worker",
            type=float,
            help="A fraction only with one worker.  [default: 1 if there is one]",
        ),
        click.option("--slots", type=int, metavar="N", help="Trials at a time.  [default: as many as fit]"),
        click.option(
            "--attempts",
            type=int,
            default=2,
            show_default=True,
            help="Times to try a trial whose worker died.",
        ),
        click.option(
            "--isolation",
            type=click.Choice(get_args(Isolation)),
            default="pooled",
            show_default=True,
            help="Keep a slot's workers for all its trials, or start new ones for each.",
        ),
        click.option(
            "--address", metavar="HOST:PORT", help="Join this Ray cluster instead of starting Ray here."
        ),
        click.option(
            "--wait-for-nodes",
            type=float,
            default=0,
            metavar="SECONDS",
            help="Wait so long for the cluster, and for nodes on which the trials fit.  "
            "[default: refuse at once]",
        ),
        click.option(
            "--retry-failed/--no-retry-failed",
            default=None,
            help="Try failed trials again under their own numbers.  [default: where all failed, or several "
            "did and all by the same error]",
        ),
        click.option(
            "--accept-changed-code",
            is_flag=True,
            help="Go on although the source of a training function (--train) changed.",
        ),
    ]
    return _added(options, _with_runtime(command))


def _with_runtime(command: Command) -> Command:
    @wraps(command)
    def taking(
        *,
        cpus_per_worker: int,
        gpus_per_worker: float | None,
        slots: int | None,
        attempts: int,
        isolation: Isolation,
        address: str | None,
        wait_for_nodes: float,
        retry_failed: bool | None,
        accept_changed_code: bool,
        **others: Any,
    ) -> None:
        runtime = Runtime(
            cpus_per_worker=cpus_per_worker,
            gpus_per_worker=gpus_per_worker,
            slots=slots,
            attempts=attempts,
            isolation=isolation,
            address=address,
            wait_for_nodes=wait_for_nodes,
            retry_failed=retry_failed,
            accept_changed_code=accept_changed_code,
        )
        command(runtime=runtime, **others)

    return taking
