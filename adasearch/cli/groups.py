"""Groups of options that several commands share; their values fill the records that commands take."""

from collections.abc import Callable
from typing import Any, get_args

import click

from adasearch.analysis.enough import MAX_ERROR, MIN_TRIALS
from adasearch.choices import Isolation, Precision, Scale
from adasearch.cli.options import RESULTS
from adasearch.runtime import TRIALS

__all__ = ["run_options", "runtime_options", "slot_options", "training_options"]

Command = Callable[..., Any]


def _group(*options: Callable[[Command], Command]) -> Callable[[Command], Command]:
    """Return options, and groups of them, as one decorator; the first one is the first in the help."""

    def add(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return add


run_options = _group(
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
)
"""How a trial goes about on a device: fields of :class:`~adasearch.runtime.RunOptions`."""

training_options = _group(
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
    click.option("--label-column", metavar="NAME", help="Of parquet:, where there are several."),
    click.option("--image-column", metavar="NAME", help="Likewise."),
    click.option("--config", metavar="NAME", help="Configuration of a parquet: set that has several."),
    click.option("--split", metavar="NAME", help="Of parquet: or folder:, to train on.  [default: train]"),
    click.option("--weights", metavar="balanced|COLUMN", help="Draw examples by weight, with replacement."),
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
        "[default: about a twentieth of a run goes to it: mostly 1 or 2 epochs, of text a quarter or half]",
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
    run_options,
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
)
"""What search, train, profile and advise share: fields of a request, and ``run_options``."""

slot_options = _group(
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
)
"""What trials run on: fields of :class:`~adasearch.runtime.Runtime`."""

runtime_options = _group(
    click.option(
        "--trials",
        type=int,
        help="Trials per study in all; those that are stored count. Below "
        f"{MIN_TRIALS} that end, or where no error is below {MAX_ERROR:.0%}, the verdict is 'too few to "
        f"say'.  [default: {TRIALS}]",
    ),
    click.option("--workers", type=int, help="Ray Train workers per trial.  [default: 1]"),
    slot_options,
)
"""How a search runs: ``slot_options``, ``trials`` and ``workers``."""
