"""The search spaces, from their YAML files."""

from pathlib import Path

from site_markdown import table

from adasearch.spaces.experiments import experiment_names, load_experiment
from adasearch.spaces.field import FieldSpace
from adasearch.spaces.space import load_space, space_names

__all__ = ["experiments_page", "ranges", "spaces_of", "spaces_page"]

YAML = Path(__file__).parents[2] / "search_spaces"


def ranges(field: FieldSpace) -> str:
    """Return the values of a field in words."""
    if field.fixed is not None:
        return f"`{field.fixed}`, fixed"
    if field.choice is not None:
        text = ", ".join(f"`{value}`" for value in field.choice)
    else:
        low, high = field.range or (0, 0)
        text = f"{low:g} to {high:g}{', log' if field.log else ''}{', whole' if field.int_ else ''}"
    if field.quantile is not None:
        text = f"quantile {text}"
    return text if field.default is None else f"{text}; first `{field.default}`"


def spaces_of(scheduler: str) -> list[str]:
    """Return the names of the spaces that come with a scheduler, its own first."""
    names = [
        name for name in space_names("schedulers") if load_space("schedulers", name).scheduler == scheduler
    ]
    return sorted(names, key=lambda name: (name != scheduler, name))


def spaces_page(kind: str) -> str:
    """Return the page of all spaces of "schedulers" or "architectures"."""
    owner = kind.removesuffix("s")
    parts = [f"# Spaces of {kind}\n\nGenerated from the files in `search_spaces/{kind}/`.\n"]
    for name in space_names("schedulers" if kind == "schedulers" else "architectures"):
        space = load_space("schedulers" if kind == "schedulers" else "architectures", name)
        rows = [{"field": f"`{field}`", "values": ranges(values)} for field, values in space.fields.items()]
        about = _comment(YAML / kind / f"{name}.yaml")
        of = "" if getattr(space, owner) == name else f"Of the scheduler `{space.scheduler}`. "
        fields = table(["field", "values"], rows) if rows else "No fields."
        parts.append(f"## {name}\n\n{of}{about}\n\n{fields}")
    return "\n".join(parts)


def experiments_page() -> str:
    """Return the page of all experiments: what each is, and its file."""
    parts = [
        "# Experiments\n\n`adasearch search --experiment NAME` runs one, `--scale nano` its small form; any "
        "flag overrides its line. Every value says where it is from.\n"
    ]
    for name in experiment_names():
        source = (YAML / "experiments" / f"{name}.yaml").read_text()
        parts.append(f"## {name}\n\n{load_experiment(name).about}\n\n```yaml\n{source}```\n")
    return "\n".join(parts)


def _comment(file: Path) -> str:
    """Return the comment that a file begins with."""
    lines = []
    for line in file.read_text().splitlines():
        if not line.startswith("#"):
            break
        lines.append(line.removeprefix("#").strip())
    return " ".join(lines)
