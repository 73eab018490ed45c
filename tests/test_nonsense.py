"""Nonsense on the command line, in YAML and in Parquet is refused in one line, and never ends in a traceback.

``pytest -m soak tests/test_nonsense.py`` tries some hundreds of each kind, which hypothesis makes up.
"""

import contextlib
import io
import math
import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adasearch.cli.main import cli, main
from adasearch.errors import InputError
from adasearch.io.text import MOST_CHARACTERS
from adasearch.schedule_file import load_schedule
from adasearch.spaces.experiments import experiment_names, load_experiment
from adasearch.spaces.space import load_space
from adasearch.store import Store
from adasearch.store.schemas import SCHEMAS
from tests.test_security import write_results

STUDY = "resnet18-nano-deba-digits"
MANY = settings(
    max_examples=int(os.environ.get("ADASEARCH_NONSENSE", "300")),
    suppress_health_check=list(HealthCheck),
    derandomize=True,
    database=None,
    deadline=None,
)


def said(*words: str) -> tuple[int, str]:
    """Run a command in this process; return its exit code and what it said on stderr. No error comes out."""
    out, err = io.StringIO(), io.StringIO()
    code: object = 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main(list(words))
        except SystemExit as stop:
            code = stop.code or 0
    assert isinstance(code, int)
    assert "Traceback" not in err.getvalue()
    return code, err.getvalue()


@pytest.fixture(scope="module")
def made_up(tmp_path_factory: pytest.TempPathFactory) -> Path:
    results = tmp_path_factory.mktemp("made-up") / "results"
    write_results(results)
    return results


@pytest.mark.parametrize("command", ["train", "search", "profile"])
@pytest.mark.parametrize(
    ("flag", "value", "rule"),
    [
        ("--epochs", "1e300", "at most 2^50 examples"),
        ("--epochs", "1e308", "must be epochs"),
        ("--interval", "1e300", "at most 2^50 examples"),
        ("--image-size", "100000", "must lie in 1 to 8192 but got 100000"),
        ("--device-batch", "99999999999999999999", r"must lie in 4 to 2^31 - 1"),
        ("--largest", "99999999999999999999", r"must lie in 1 to 2^31 - 1"),
    ],
)
def test_number_beyond_all_measure_is_refused(
    command: str, flag: str, value: str, rule: str, tmp_path: Path
) -> None:
    code, err = said(
        command, "--architecture", "resnet18", flag, value, "--results", str(tmp_path / "results")
    )
    assert code == 2
    assert rule in err
    assert len(err.splitlines()) <= 2
    assert not (tmp_path / "results").exists()


def test_experiment_whose_nano_part_empties_it_is_refused(tmp_path: Path) -> None:
    shipped = Path(load_experiment.__code__.co_filename).parents[1] / "search_spaces" / "experiments"
    content = yaml.safe_load((shipped / f"{experiment_names()[0]}.yaml").read_text())
    file = tmp_path / "mine.yaml"
    file.write_text(yaml.safe_dump({**content, "nano": {"architectures": []}}))
    code, err = said("search", "--experiment", str(file), "--scale", "nano")
    assert code == 2
    assert "needs architectures, schedulers and dataset" in err


@pytest.mark.parametrize("scheduler", ["constant", "cabs", "no_such", "no_such:Thing"])
def test_trial_whose_scheduler_is_not_its_studys_breaks_no_command(
    scheduler: str, made_up: Path, tmp_path: Path
) -> None:
    results = tmp_path / "results"
    shutil.copytree(made_up, results)
    store = Store(str(results))
    for trial in store.trials(STUDY):
        store.write_trial(replace(trial, scheduler=scheduler, params={**trial.params, "scheduler/none": 3}))
    for words in (
        ["report", "--output", str(tmp_path / "report.html")],
        ["export", STUDY, "--output", str(tmp_path / "rule.yaml")],
        ["compare"],
        ["predict"],
        ["replay", f"{STUDY}-search-0", "--scheduler", "constant"],
    ):
        assert said(*words, "--results", str(results))[0] in (0, 1, 2)


def test_error_of_a_hundred_thousand_characters_is_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "talks.py").write_text("def data():\n    raise ValueError('a' * 50_000 + 'b' * 50_000)\n")
    monkeypatch.syspath_prepend(tmp_path)
    code, err = said("train", "--architecture", "resnet18", "--dataset", "talks:data")
    assert code == 2
    assert "talks:data" in err
    assert len(err) <= MOST_CHARACTERS + 1


# --- made up by hypothesis ---------------------------------------------------------------------------------

NUMBERS = st.one_of(st.integers(), st.floats(), st.integers(-3, 300)).map(str)
TEXTS = st.text(st.characters(blacklist_characters="\0", blacklist_categories=["Cs"]), max_size=20)
WORDS = st.one_of(
    NUMBERS, TEXTS, st.sampled_from(["deba", "resnet18", "digits", "none", "nan", "inf", "0", "-1", "1e99"])
)
FLAGS = {
    name: [option for each in command.params for option in each.opts]
    for name, command in cli.commands.items()
}
QUICK = sorted(cli.commands.keys() - {"dashboard", "watch"})


@st.composite
def lines(draw: st.DrawFn) -> list[str]:
    """A command with flags of its own and values that may be anything."""
    command = draw(st.sampled_from(QUICK))
    words = [command]
    for _ in range(draw(st.integers(0, 4))):
        words.append(
            draw(st.sampled_from([each for each in FLAGS[command] if each.startswith("-")] or ["-h"]))
        )
        words += draw(st.lists(WORDS, max_size=2))
    return words + draw(st.lists(WORDS, max_size=1))


@pytest.mark.soak
@MANY
@given(words=lines())
def test_no_command_line_ends_in_a_traceback(words: list[str], made_up: Path) -> None:
    """Nothing is trained: whatever could be is pointed at data that are not there."""
    with in_a_copy(made_up):
        extra = ["--dataset", "folder:nowhere"] if words[0] in ("search", "train", "profile") else []
        code, _ = said(*words, *extra)
        assert code in (0, 1, 2)


VALUES = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        TEXTS,
        st.sampled_from([1e300, -1, 0, 2**70, math.nan]),
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXTS, inner, max_size=3)),
    max_leaves=6,
)
KEYS = st.sampled_from(
    "scheduler architecture fields nano about architectures schedulers dataset scale epochs interval trials "
    "train float int choice fixed quantile log default first window batch_size lr smallest largest name "
    "provenance schedule_version multiple_of".split()
)
DOCUMENTS = st.recursive(VALUES, lambda inner: st.dictionaries(KEYS, inner, max_size=6), max_leaves=12)


@pytest.mark.soak
@MANY
@given(
    document=DOCUMENTS,
    kind=st.sampled_from(["schedulers", "architectures", "experiment", "schedule"]),
    data=st.data(),
)
def test_no_yaml_ends_in_anything_but_a_line(
    document: Any, kind: str, data: st.DataObject, made_up: Path
) -> None:
    if kind == "experiment" and data.draw(st.booleans()):  # a whole one in which something is amiss
        shipped = Path(load_experiment.__code__.co_filename).parents[1] / "search_spaces" / "experiments"
        whole = yaml.safe_load(
            (shipped / f"{data.draw(st.sampled_from(experiment_names()))}.yaml").read_text()
        )
        document = {**whole, data.draw(st.sampled_from(sorted(whole))): document}
    with TemporaryDirectory() as folder:
        file = Path(folder, "made_up.yaml")
        file.write_text(yaml.safe_dump(document, allow_unicode=True), encoding="utf-8")
        with contextlib.suppress(InputError):
            if kind == "experiment":
                found = load_experiment(str(file))
                for name in found.architectures or ():
                    found.train_space(name)
                for name in found.schedulers or ():
                    found.scheduler_space(name)
            elif kind == "schedule":
                load_schedule(file)
            else:
                space = load_space(kind, str(file))  # type: ignore[arg-type]
                assert isinstance({**space.first(), **space.fixed(), **space.distributions()}, dict)


@contextlib.contextmanager
def in_a_copy(made_up: Path) -> Iterator[Path]:
    here = os.getcwd()
    with TemporaryDirectory() as folder:
        shutil.copytree(made_up, Path(folder, "results"))
        os.chdir(folder)
        try:
            yield Path(folder, "results")
        finally:
            os.chdir(here)


def strange(kind: pa.DataType) -> st.SearchStrategy[Any]:
    """Values that a column of Arrow can hold, whether ours make sense of them or not."""
    if pa.types.is_string(kind):
        return st.one_of(
            TEXTS, st.sampled_from(["", "{}", "[1]", "nan", STUDY, "complete", "../..", "1" * 5000])
        )
    if pa.types.is_boolean(kind):
        return st.booleans()
    if pa.types.is_timestamp(kind):
        return st.integers(-(2**62), 2**62)
    if pa.types.is_floating(kind):
        return st.floats()
    if pa.types.is_integer(kind):
        return st.integers(-(2 ** (kind.bit_width - 1)), 2 ** (kind.bit_width - 1) - 1)
    return st.none()


READERS = (
    "compare",
    "report",
    "predict",
    "list studies",
    f"export {STUDY} --output x.yaml",
    "doctor",
    "compact",
)


@pytest.mark.soak
@MANY
@given(data=st.data())
def test_no_table_ends_in_a_traceback(data: st.DataObject, made_up: Path) -> None:
    """One value of one file is replaced by another of the column's type, or by null; all readers are run."""
    with in_a_copy(made_up) as results:
        file = data.draw(st.sampled_from(sorted(results.rglob("*.parquet"))))
        table: Any = file.parent.name
        rows = pq.read_table(file)
        field = data.draw(st.sampled_from(list(SCHEMAS[table])))
        value = data.draw(st.one_of(st.none(), strange(field.type)))
        index = rows.schema.get_field_index(field.name)
        if pa.types.is_timestamp(field.type):  # Python has no calendar for all that Arrow can hold
            column = pa.array([value] * rows.num_rows, pa.int64()).cast(field.type)
        else:
            values = rows.column(index).to_pylist()
            values[data.draw(st.integers(0, len(values) - 1))] = value
            column = pa.array(values, field.type)
        pq.write_table(rows.set_column(index, field, column), file)
        words = data.draw(st.sampled_from(READERS)).split()
        where = ["results"] if words[0] in ("doctor", "compact") else ["--results", "results"]
        assert said(*words, *where)[0] in (0, 1, 2), words


@pytest.mark.parametrize(("objective", "codes"), [("\u15b0", (0,)), ("\x1f", (0, 1, 2)), ("a\\x", (0,))])
@pytest.mark.parametrize("command", ["compare", "report"])
def test_an_objective_may_have_any_printable_name(
    objective: str, codes: tuple[int, ...], command: str, made_up: Path
) -> None:
    with in_a_copy(made_up) as results:
        for table in ("studies", "trials"):
            for file in results.rglob(f"{table}/*.parquet"):
                rows = pq.read_table(file)
                column = pa.array([objective] * rows.num_rows, pa.string())
                at = rows.schema.get_field_index("objective")
                pq.write_table(rows.set_column(at, rows.schema.field(at), column), file)
        assert said(command, "--results", "results")[0] in codes
