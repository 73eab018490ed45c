"""What there is to choose from, and the studies and failures of a results folder, as tables."""

import dataclasses
from typing import get_args

from rich.console import Console
from rich.progress import track

from adasearch import counts
from adasearch.choices import Catalogue, Format
from adasearch.errors import ended_by, parts_of, unknown
from adasearch.io.tables import Column, render
from adasearch.store.store import Store

__all__ = ["catalogue"]

LISTED_SIZE = 32  # pixels
ARCHITECTURES_TITLE = (
    f"At {LISTED_SIZE}x{LISTED_SIZE} pixels and 10 classes. Also: any classification network of torchvision "
    "(--scale full), module:function. Language models: gpt, gpt_rms, gpt_rotary, gpt_rms_rotary"
)


def catalogue(what: Catalogue, *, results: str, form: Format = "text", width: int | None = None) -> str:
    """Return a table of what there is to choose from, or of the studies or failures of a results folder.

    Raises:
        InputError: an unknown table, or no such folder.
    """
    columns = {
        "architectures": _architectures,
        "schedulers": _schedulers,
        "datasets": _datasets,
        "spaces": _spaces,
        "experiments": _experiments,
    }
    if what in ("studies", "failures"):
        listed = _studies if what == "studies" else _failures
        return listed(Store(results, must_exist=True), form, width)
    if what not in columns:
        raise unknown("list", what, get_args(Catalogue))
    rows, headers = columns[what]()
    title = ARCHITECTURES_TITLE if what == "architectures" else ""
    return render(
        rows, [Column(header, header, _grouped) for header in headers], form, title=title, width=width
    )


Rows = tuple[list[dict[str, object]], list[str]]


def _grouped(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)


def _architectures() -> Rows:
    """Count on the meta device: no weights are allocated and nothing is computed."""
    import torch

    from adasearch.networks.dry_run import multiply_adds
    from adasearch.networks.registry import ARCHITECTURES, SCALES, build_model, pixels, trained

    rows: list[dict[str, object]] = []
    console = Console(stderr=True)
    counted = track(ARCHITECTURES, "counting", console=console, transient=True)
    # rich 13.0 ends a track that is disabled with an empty line
    for name in counted if console.is_terminal else ARCHITECTURES:
        row: dict[str, object] = {"name": name}
        for scale in SCALES:
            with torch.device("meta"):
                network = build_model(name, scale, classes=10, image_size=LISTED_SIZE)
            row[f"{scale} parameters"] = trained(network)
            row[f"{scale} pixels"] = pixels(name, scale)
            row[f"{scale} multiply-adds"] = multiply_adds(network, LISTED_SIZE)
        rows.append(row)
    return rows, list(rows[0])


def _schedulers() -> Rows:
    from adasearch.schedulers.registry import SCHEDULERS

    rows: list[dict[str, object]] = [
        {
            "name": name,
            "what": (cls.__doc__ or "").splitlines()[0].replace("`", ""),
            "fields": ", ".join(f"{field.name}={_plain(field.default)}" for field in dataclasses.fields(cls)),  # type: ignore[arg-type]
        }
        for name, cls in SCHEDULERS.items()
    ]
    return rows, ["name", "what", "fields"]


def _plain(value: object) -> str:
    """Return a value as --set takes it, in quotes unless it is a number or one word."""
    text = str(value)
    return f'"{text}"' if isinstance(value, str) and not text.isidentifier() else text


def _datasets() -> Rows:
    from adasearch.data.sources.registry import SOURCES

    return [{"name": name, "what": what} for name, what in SOURCES.items()], ["name", "what"]


def _spaces() -> Rows:
    from adasearch.spaces.space import load_space, space_names

    rows: list[dict[str, object]] = []
    for kind in ("architectures", "schedulers"):
        for name in space_names(kind):
            space = load_space(kind, name)
            rows.append({"name": name, "kind": kind, "searched": ", ".join(space.distributions())})
    return rows, ["name", "kind", "searched"]


def _experiments() -> Rows:
    from adasearch.spaces.experiments import experiment_names, load_experiment

    rows: list[dict[str, object]] = [
        {"name": name, "what": load_experiment(name).about} for name in experiment_names()
    ]
    return rows, ["name", "what"]


def _failures(store: Store, form: Format, width: int | None) -> str:
    """Return every failed trial of a folder with what ended it, those of ``train`` and ``profile``, too."""
    rows = [
        {
            "trial": trial.trial_id,
            "ended": None if trial.ended_at is None else f"{trial.ended_at:%Y-%m-%d %H:%M}",
            **dict(zip(("error", "traceback"), parts_of(ended_by(trial.error, store.name)), strict=True)),
        }
        for folder in store.folders()
        for trial in store.trials(folder)
        if trial.status == "failed"
    ]
    if not rows and form == "text":
        return f"no failed trial in {store.name}\n"
    return render(
        rows, [Column(name, name) for name in ("trial", "ended", "error", "traceback")], form, width=width
    )


def _studies(store: Store, form: Format, width: int | None) -> str:
    rows: list[dict[str, object]] = []
    studies = store.studies()
    unit = counts.unit_of(study.sequence_length for study in studies)
    for study in studies:
        trials = store.trials(study.study)
        statuses = [trial.status for trial in trials if trial.phase == "search"]
        rows.append(
            {
                "name": study.study,
                **{status: statuses.count(status) for status in ("complete", "pruned", "failed", "running")},
                "confirming": sum(trial.phase == "confirm" for trial in trials),
                "epochs": study.budget / study.train_examples,
                "train examples": study.train_examples,
            }
        )
        if form in ("text", "markdown") and study.sequence_length is not None:
            told = counts.size if unit == "tokens" else counts.told
            rows[-1]["train examples"] = told(study.train_examples, study.sequence_length)
    headers = [
        "name",
        "complete",
        "pruned",
        "failed",
        "running",
        "confirming",
        "epochs",
        "train examples",
    ]
    said = {"confirming": "runs of confirm", "train examples": f"train {unit}"}
    return render(rows, [Column(name, said.get(name, name)) for name in headers], form, width=width)
