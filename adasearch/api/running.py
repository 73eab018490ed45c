"""Searches, confirmations, profiles and runs from Python, as the command line starts them."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from adasearch import commands
from adasearch.api.options import (
    Options,
    RuntimeOptions,
    SearchOptions,
    as_request,
    check,
    one_or_more,
)
from adasearch.api.reading import path_of
from adasearch.api.results import Results, load
from adasearch.api.stored import StoredTrial
from adasearch.choices import Controls, ProfileKind, TrackerName
from adasearch.errors import AdasearchError
from adasearch.runtime import TRIALS, RunOptions, record_of, runtime_of

if TYPE_CHECKING:
    from rich.console import Console
    from typing_extensions import Unpack

__all__ = ["advise", "confirm", "profile", "search", "train"]

Name = str | Callable[..., Any]
Set = str | Callable[[], Any] | tuple[Any, Any]


def search(
    network: Name | Sequence[Name] | None = None,
    data: Set | None = None,
    *,
    train: Name | None = None,
    scheduler: Name | Sequence[Name] = "deba",
    trials: int = TRIALS,
    epochs: float | None = None,
    interval: float | str | None = None,
    results: str = "results",
    log: "TrackerName | Sequence[TrackerName]" = (),
    quiet: bool = False,
    **options: "Unpack[SearchOptions]",
) -> Results:
    """Search the parameters of schedulers for networks, beside a constant batch size.

    The same call goes on with a search that was interrupted, and with a larger ``trials`` asks for more. The
    session's logging, warnings, environment, output and signal handlers are left as they were.

    Args:
        network: a name of ``adasearch list architectures``, ``module:function``, or a function of ``classes``
            and ``image_size`` that returns a network; one or several.
        data: what ``--dataset`` takes, a function that returns ``(train, test)``, or such a pair of map-style
            data sets of (image, label); "digits" if left out.
        train: a training function of one's own in place of network and data: ``module:function``, or the
            function itself; it is handed a :class:`adasearch.Trial`. ``train_space`` may then be a dictionary
            of fields of any names.
        scheduler: a name of ``adasearch list schedulers``, ``module:Class``, or a class; one or several.
        trials: of each study in all; those that are stored count.
        epochs: length of a trial; 20, or that of the stored study, if left out.
        interval: between two decisions, in epochs (0.5) or examples ("2000ex"); 1 if left out.
        results: folder or URI of the results.
        log: trackers that are told of each trial while it runs, one or several of "tensorboard", "mlflow" and
            "wandb"; their files lie in ``<results>/logs/``.
        quiet: print nothing.
        options: see :class:`adasearch.api.options.SearchOptions`.

    Raises:
        InputError: bad input; nothing was written.
        AdasearchError: Ray cannot be reached, the folder cannot be written, or nothing of a study completed.
        KeyboardInterrupt: the search was interrupted; what is finished is kept.

    Example::

        found = adasearch.search("resnet18", "digits", scheduler="deba", trials=12, epochs=16, interval=0.5)
        found.table()
        best = found.best("resnet18", "deba")
    """
    check(options, SearchOptions)
    with as_request(
        network, data, train=train, schedulers=scheduler, epochs=epochs, interval=interval, options=options
    ) as request:
        runtime = runtime_of({**options, "trials": trials})
        with _console(quiet) as console:
            if not commands.search(request, runtime, results=results, console=console, log=one_or_more(log)):
                raise KeyboardInterrupt("the search was interrupted; the same call goes on with it")
    return load(results)


def confirm(
    results: "str | Results",
    *,
    study: str | Sequence[str] = (),
    trial: str | Sequence[str] = (),
    seeds: int = 5,
    controls: Controls = "matched",
    images: str | None = None,
    log: "TrackerName | Sequence[TrackerName]" = (),
    quiet: bool = False,
    **options: "Unpack[RuntimeOptions]",
) -> Results:
    """Run each study's candidate and its controls on fresh seeds and the test split; return the results.

    Args:
        results: folder of the search, or what it returned.
        study: only these studies; all by default.
        trial: these trials in place of the studies' candidates, constant ones, too.
        seeds: runs of each.
        controls: "none", the "reference" alone, those that are "matched" to it, or "all" of them.
        images: where the images lie now, if they have moved.
        log: as of :func:`search`.
        quiet: print nothing.
        options: see :class:`adasearch.api.options.RuntimeOptions`.

    Raises:
        InputError: bad input; nothing was written.
        AdasearchError: Ray cannot be reached, the folder cannot be written, or no run completed.
        KeyboardInterrupt: it was interrupted; what is finished is kept.

    Example::

        adasearch.confirm("results", seeds=5).confirmed()
    """
    check(options, RuntimeOptions)
    with _console(quiet) as console:
        whole = commands.confirm(
            runtime_of(options),
            results=path_of(results),
            console=console,
            studies=one_or_more(study),
            trials=one_or_more(trial),
            seeds=seeds,
            controls=controls,
            images=images,
            log=one_or_more(log),
        )
    if not whole:
        raise KeyboardInterrupt("the confirmation was interrupted; the same call goes on with it")
    return load(path_of(results))


def train(
    network: Name,
    data: Set = "digits",
    *,
    scheduler: Name = "constant",
    epochs: float | None = None,
    interval: float | str | None = None,
    results: str = "results",
    log: "TrackerName | Sequence[TrackerName]" = (),
    quiet: bool = False,
    **options: "Unpack[Options]",
) -> StoredTrial:
    """Train one run in this process, without Ray, and return it; its fields are defaults or those of ``set``.

    Args:
        network: as of :func:`search`.
        data: likewise.
        epochs: likewise.
        interval: likewise.
        results: likewise.
        log: likewise.
        quiet: likewise.
        scheduler: one; constant by default.
        options: see :class:`adasearch.api.options.Options`.

    Raises:
        InputError: bad input; nothing was written.
        AdasearchError: the run failed; its row is kept.

    Example::

        run = adasearch.train("resnet18", "digits", scheduler="deba", epochs=3, interval=0.5)
        run.intervals()
    """
    check(options, Options)
    with (
        as_request(
            network, data, schedulers=scheduler, epochs=epochs, interval=interval, options=options
        ) as request,
        _console(quiet) as console,
    ):
        trial = commands.train(
            request,
            results=results,
            console=console,
            options=record_of(RunOptions, options),
            log=one_or_more(log),
        )
    if trial.status != "complete":
        raise AdasearchError(f"{trial.trial_id} failed: {trial.error}")
    return load(results).trial(trial.trial_id)


def profile(
    network: Name | Sequence[Name] | None = None,
    data: Set | None = None,
    *,
    train: Name | None = None,
    kind: ProfileKind | Sequence[ProfileKind] = ("stability", "speed"),
    seeds: int | None = None,
    slots: int = 1,
    results: str = "results",
    quiet: bool = False,
    **options: "Unpack[Options]",
) -> Results:
    """Take the profiles of networks in this process, or find them, and return the results that hold them.

    Args:
        network: as of :func:`search`.
        data: likewise.
        train: likewise.
        results: likewise.
        quiet: likewise.
        kind: "stability" (signals at a fixed batch), "speed" (seconds of a step by batch size), "critical"
            (the critical batch by branches of a run), or several.
        seeds: runs of a stability profile, or of one of the critical batch.
        slots: runs of the critical batch at a time: 1 in this process, more on Ray.
        options: see :class:`adasearch.api.options.Options`.

    Raises:
        InputError: bad input; nothing was written.

    Example::

        adasearch.profile("resnet18", "digits", kind="speed").profiles()
    """
    check(options, Options)
    wish = commands.ProfileWish(kinds=tuple(one_or_more(kind)), seeds=seeds, slots=slots)
    with (
        as_request(network, data, train=train, options=options) as request,
        _console(quiet) as console,
    ):
        commands.profile(
            request, wish, results=results, console=console, options=record_of(RunOptions, options)
        )
    return load(results)


def advise(
    network: Name | Sequence[Name] | None = None,
    data: Set | None = None,
    *,
    train: Name | None = None,
    epochs: float | None = None,
    interval: float | str | None = None,
    seeds: int = 12,
    results: str = "results",
    quiet: bool = False,
    **options: "Unpack[SearchOptions]",
) -> "list[commands.Advice]":
    """Tell for the price of a few trainings whether a changing batch size pays, for each network.

    Args:
        network: as of :func:`search`.
        data: likewise.
        train: likewise.
        epochs: likewise.
        interval: likewise.
        seeds: fresh seeds of the last step, at most.
        results: likewise.
        quiet: likewise.
        options: likewise.

    Raises:
        InputError: bad input; nothing was written.
        AdasearchError: a step failed.
        KeyboardInterrupt: it was interrupted; the same call goes on.

    Example::

        (advice,) = adasearch.advise("resnet18", "digits", epochs=10, interval=0.5)
        advice.pays, advice.because, advice.batch_size, advice.trainings
    """
    check(options, SearchOptions)
    with (
        as_request(network, data, train=train, epochs=epochs, interval=interval, options=options) as request,
        _console(quiet) as console,
    ):
        return commands.advise(request, runtime_of(options), results=results, console=console, seeds=seeds)


@contextmanager
def _console(quiet: bool) -> "Iterator[Console]":
    """Yield where progress is printed: a terminal shows it moving, a notebook or a file line by line."""
    from rich.console import Console

    notebook = (
        type(sys.stdout).__module__.partition(".")[0] == "ipykernel"
    )  # which says that it is a terminal
    yield Console(
        file=sys.stdout,
        soft_wrap=True,
        quiet=quiet,
        force_jupyter=False,
        force_terminal=False if notebook else None,
    )
