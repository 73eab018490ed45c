"""The command ``adasearch search``."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, get_args

import click

from adasearch.choices import Sampler, Stopper
from adasearch.cli.groups import runtime_options, training_options
from adasearch.cli.options import ARCHITECTURES, CLOCK, DEVICE_PROFILE, LOG, WIDE, console_of
from adasearch.errors import Interrupted
from adasearch.runtime import TRIALS, record_of, runtime_of

__all__ = ["search"]


SECTIONS = {
    "What is searched": (
        *(
            "architectures",
            "train",
            "objective",
            "schedulers",
            "experiment",
            "space",
            "train_space",
            "fixed",
            "baseline",
        ),
        *("trials", "sampler", "stopper", "transfer"),
    ),
    "Data": (
        *("dataset", "image_size", "sequence_length", "tokenizer", "download", "subset"),
        *("label_column", "image_column", "config", "split", "weights"),
    ),
    "How a trial trains": (
        *(
            "scale",
            "epochs",
            "budget",
            "interval",
            "evaluate_every",
            "seed",
            "smallest",
            "largest",
            "workers",
        ),
        *("precision", "compile", "per_example"),
    ),
    "Where results lie, and what judges them": ("results", "study", "clock", "device_profile", "log", "wide"),
    "The machine or the cluster": (
        *("cpus_per_worker", "gpus_per_worker", "slots", "device_batch", "memory_gib", "checkpoint_every"),
        *("attempts", "retry_failed", "isolation", "address", "wait_for_nodes"),
        *("silence_minutes", "accept_changed_code"),
    ),
}


class InSections(click.Command):
    """A command that shows its options under headings.

    Args:
        sections: names of options' values by heading, in order; what is in none comes last, as "Options".
    """

    def __init__(self, *arguments: Any, sections: Mapping[str, Sequence[str]], **options: Any) -> None:
        super().__init__(*arguments, **options)
        known = {parameter.name for parameter in self.params}
        lost = {name for names in sections.values() for name in names} - known
        assert not lost, f"no options of these names: {sorted(lost)}"
        self._sections = sections

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write each section's options as a list of definitions."""
        grouped = {name for names in self._sections.values() for name in names}
        rest = [each.name or "" for each in self.get_params(ctx) if each.name not in grouped]
        for heading, names in {**self._sections, "Options": rest}.items():
            records = [each.get_help_record(ctx) for each in self.get_params(ctx) if each.name in names]
            with formatter.section(heading):
                formatter.write_dl([record for record in records if record is not None])


@click.command(cls=InSections, sections=SECTIONS)
@ARCHITECTURES
@click.option(
    "--train",
    metavar="MODULE:FUNCTION",
    help="A training function of your own, which is handed a trial, in place of a network.",
)
@click.option(
    "--objective",
    metavar="NAME",
    help="What of --train's evaluation is minimised.  [default: the only figure, else loss]",
)
@click.option(
    "--experiment",
    metavar="NAME",
    help="A published set-up: a name from 'list experiments' or a YAML file; other flags override it.",
)
@click.option(
    "--scheduler",
    "schedulers",
    multiple=True,
    metavar="NAME",
    help="A batch-size scheduler, or module:Class; repeatable.  [default: deba]",
)
@training_options
@runtime_options
@click.option(
    "--sampler",
    type=click.Choice(get_args(Sampler)),
    help="How trials are proposed; tpe: the default, the same at two larger batch sizes, a few at random, "
    "then by what was found; grid: every combination of the choices, then again with the next seed.  "
    "[default: tpe]",
)
@click.option(
    "--stopper",
    type=click.Choice(get_args(Stopper)),
    help="Early stopping of poor trials.  [default: halving]",
)
@click.option(
    "--no-baseline",
    "baseline",
    is_flag=True,
    callback=lambda _context, _option, given: False if given else None,
    help="Do not search the constant baseline.",
)
@click.option(
    "--transfer",
    is_flag=True,
    help="Try right after the defaults what suited other networks and data sets in this folder, those of the "
    "nearest stability profile before others; thresholds carry over as quantiles only.",
)
@click.option("--study", metavar="PREFIX", help="Prefix of the studies' names.")
@CLOCK
@DEVICE_PROFILE
@LOG
@WIDE
def search(
    *,
    experiment: str | None,
    trials: int | None,
    results: str,
    log: tuple[str, ...],
    wide: bool,
    **options: Any,
) -> None:
    """Search a scheduler's parameters, per architecture, beside a constant batch size.

    The same command goes on with a search that was interrupted, or does nothing if all trials are there.

    \b
    Example:
      adasearch search --architecture resnet18 --architecture vit_b_16 --scheduler deba \\
          --space deba_short --dataset digits --epochs 10 --interval 0.5 --trials 10
      adasearch search --experiment adabatch_cifar --scale nano --dataset cifar10:data
    """
    from adasearch import commands
    from adasearch.spaces.experiments import load_experiment
    from adasearch.studies.request import Request, with_experiment

    request = record_of(Request, options)
    if experiment is not None:
        published = load_experiment(experiment)
        request = with_experiment(request, published)
        trials = published.at(request.scale).trials if trials is None else trials
    runtime = replace(runtime_of(options), trials=TRIALS if trials is None else trials)
    if not commands.search(request, runtime, results=results, console=console_of(), wide=wide, log=log):
        raise Interrupted
