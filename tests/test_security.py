"""What comes out of files: a clear error or success, no code that nobody named, nothing written outside."""

import io
import math
import pickle
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from adasearch.analysis.compare import compare
from adasearch.analysis.gather import Scope
from adasearch.analysis.prediction_table import predict_table
from adasearch.cli.main import main
from adasearch.commands import catalogue, export, replay, rerun
from adasearch.commands._dashboard import Mirror
from adasearch.doctor.examine import examine
from adasearch.doctor.repair import repair
from adasearch.errors import AdasearchError, InputError
from adasearch.profiles.profile_store import ProfileStore
from adasearch.schedule_file import load_schedule
from adasearch.spaces.experiments import load_experiment
from adasearch.spaces.optuna_trials import distributions_of
from adasearch.spaces.space import load_space
from adasearch.store import Store
from adasearch.store.schemas import SCHEMAS, Table
from adasearch.training.checkpoint import Checkpoints
from tests.profile_rows import speed_of, stability_of
from tests.rows import START, interval_at, study_of, trial_of

# --- a results folder, and what lies beside it ----------------------------------------------------------


def write_results(results: Path) -> None:
    """Two studies of two trials with intervals, confirmed ones among them, and two profiles; all made up."""
    store, profiles = Store(str(results)), ProfileStore(str(results))
    for scheduler in ("constant", "deba"):
        study = study_of(scheduler)
        store.write_study(study)
        for number in range(2):
            for phase in ("search", "confirm"):
                source = f"{study.study}-search-0" if phase == "confirm" else None
                trial = replace(
                    trial_of(study, number, val_error=0.2, seconds=4.0 - number, phase=phase),
                    role="candidate" if phase == "confirm" else "search",
                    source_trial_id=source,
                    test_error=0.2,
                    params={"train/lr": 0.1, "train/lr_schedule": "constant"},
                    examples_seen=1600,
                    epochs=4.0,
                    steps=50,
                    adaptations=1,
                    mean_batch_size=32.0,
                    final_batch_size=48,
                    error="RuntimeError: none",
                    ended_at=START,
                )
                rows = [interval_at(i, val_error=0.2, action="grow" if i == 2 else "hold") for i in range(4)]
                store.write_intervals(trial, rows)
                store.write_trial(trial)
    study = study_of("deba")
    profiles.write(speed_of(study))
    profiles.write(stability_of(study))


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    results = tmp_path_factory.mktemp("sound") / "results"
    write_results(results)
    return results


def outside(results: Path) -> dict[str, bytes]:
    """Every file beside the results folder with what it holds."""
    found = (path for path in sorted(results.parent.rglob("*")) if results not in (path, *path.parents))
    return {str(path): path.read_bytes() if path.is_file() else b"" for path in found}


def readers(results: Path, place: Path) -> Iterator[Callable[[], object]]:
    """Every command that reads a results folder and starts no training; what they write goes to ``place``."""
    store, trial = Store(str(results)), "resnet18-nano-deba-digits-search-0"
    yield lambda: [compare(store, Scope(force=True), form=form) for form in ("text", "csv", "json")]
    yield lambda: compare(store, Scope(force=True, device_profile="abacus"))
    yield lambda: catalogue("studies", results=str(results), form="text")
    yield lambda: [list(courses.items()) for courses in (store.intervals(each) for each in store.folders())]
    yield lambda: [distributions_of(study) for study in store.studies()]
    yield lambda: replay(store, trial, scheduler="deba", fixed=(), form="text")
    yield lambda: export(store, "resnet18-nano-deba-digits", output=str(place / "rule.yaml"))
    yield lambda: export(store, "resnet18-nano-deba-digits", output=str(place / "ramp.yaml"), form="ramp")
    yield lambda: predict_table(store)
    yield lambda: Mirror(store)
    yield lambda: ProfileStore(str(results)).export(str(place / "profiles.parquet"), None)
    yield lambda: ProfileStore(str(place / "other")).take_in(str(place / "profiles.parquet"))
    yield lambda: [store.compact(folder) for folder in store.folders()]
    yield lambda: compare(store, Scope(force=True))
    yield lambda: list(repair(store, examine(store).findings))
    yield lambda: compare(store, Scope(force=True))


# --- Parquet --------------------------------------------------------------------------------------------

FILES: dict[Table, str] = {
    "studies": "resnet18-nano-deba-digits/studies/resnet18-nano-deba-digits.parquet",
    "trials": "resnet18-nano-deba-digits/trials/resnet18-nano-deba-digits-search-0.parquet",
    "intervals": "resnet18-nano-deba-digits/intervals/resnet18-nano-deba-digits-search-0.parquet",
    "profiles": "profiles/speed-abacus-resnet18-nano-digits.parquet",
}
TEXTS = st.sampled_from(
    [
        *(
            "",
            ".",
            "..",
            "../../escaped",
            "/escaped",
            "a/b",
            "a\\b",
            ".hidden",
            "nul\0byte",
            "x" * 300,
            "train",
        ),
        *("<script>alert(1)</script>", "\x1b[31mred", "[red]", "[/nothing]", "javascript:alert(1)", "$x$"),
        *(
            "antigravity:fly",
            "os:abort",
            "{",
            "{}",
            "[1]",
            '{"a": {"b": 1}}',
            '{"train/lr": NaN}',
            "[" * 3000,
        ),
        *('{"fields": {"lr": {"float": [0, 1e999]}}, "architecture": "x"}', '{"scheduler": "os:abort"}'),
        *("modelled", "measured", "running", "hold", "constant", "\u202egnp", "digits@99999999999999999999"),
    ]
)
INTS = st.sampled_from([-(2**63), -1, 0, 1, 2**31, 2**53 + 1, 2**63 - 1])
FLOATS = st.sampled_from([math.nan, math.inf, -math.inf, -1.0, 0.0, 5e-324, 1.7e308])


@st.composite
def changes(draw: st.DrawFn) -> tuple[Table, str, object]:
    """A column of a table and a value for it: of its own type, none, or of another type."""
    table = draw(st.sampled_from(sorted(FILES)))
    field = draw(st.sampled_from(list(SCHEMAS[table])))
    own = {"int64": INTS, "double": FLOATS, "string": TEXTS, "bool": st.booleans()}.get(str(field.type), INTS)
    return table, field.name, draw(st.none() | own | own | own | TEXTS | INTS)


@given(changed=st.lists(changes(), min_size=1, max_size=3))
@example(changed=[("trials", "study", "../../escaped")])
@example(changed=[("trials", "trial_id", "../../escaped")])
@example(changed=[("studies", "study", "../../escaped")])
@example(changed=[("profiles", "profile", "../../escaped")])
@example(changed=[("studies", "val_examples", 0), ("trials", "val_error", 1.5)])
@example(changed=[("trials", "started_at", 2**63 - 1)])
def test_whatever_a_row_holds_readers_succeed_or_say_why(
    sound: Path, changed: list[tuple[Table, str, object]]
) -> None:
    with TemporaryDirectory() as place:
        results = Path(place, "results")
        shutil.copytree(sound, results)
        for table, column, value in changed:
            rewrite(results / FILES[table], column, value)
        Path(place, "out").mkdir()
        before = outside(results)
        for read in readers(results, Path(place, "out")):
            with suppress(AdasearchError):
                read()
        made = {path for path in outside(results) if not path.startswith(str(Path(place, "out")))}
        assert made == {path for path in before if not path.startswith(str(Path(place, "out")))}
        assert "antigravity" not in sys.modules


def rewrite(path: Path, column: str, value: object) -> None:
    rows = pq.read_table(path)
    index = rows.schema.get_field_index(column)
    kind = rows.schema.field(index).type
    if isinstance(value, int) and pa.types.is_timestamp(kind):
        values = pa.array([value] * rows.num_rows, pa.int64()).cast(kind)
    else:
        try:
            values = pa.array([value] * rows.num_rows, kind)
        except (pa.ArrowException, TypeError):
            values = pa.array([value] * rows.num_rows)
    pq.write_table(rows.set_column(index, column, values), path)


def test_search_that_goes_on_removes_nothing_outside_its_folder(sound: Path, tmp_path: Path) -> None:
    results = tmp_path / "results"
    shutil.copytree(sound, results)
    kept = tmp_path / "escaped" / "checkpoints" / "mine" / "precious"
    kept.parent.mkdir(parents=True)
    kept.write_text("mine")
    rewrite(results / FILES["trials"], "study", "../escaped")
    rewrite(results / FILES["trials"], "trial_id", "mine")
    store = Store(str(results))
    for trial in store.trials("resnet18-nano-deba-digits"):
        store.remove_checkpoints(trial)
    assert kept.exists()
    with pytest.raises(InputError, match="is no name of a study"):
        store.trials("../escaped")


def test_note_of_a_lock_is_written_to_no_place_that_a_link_points_to(tmp_path: Path) -> None:
    (tmp_path / "results" / "s").mkdir(parents=True)
    target = tmp_path / "mine"
    target.write_text("mine")
    (tmp_path / "results" / "s" / ".owner").symlink_to(target)
    with Store(str(tmp_path / "results")).locks.hold("s"):
        assert target.read_text() == "mine"


# --- code -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("column", ["architecture", "dataset", "scheduler"])
def test_module_in_the_results_folder_is_never_imported(
    sound: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, column: str
) -> None:
    results = tmp_path / "planted"
    shutil.copytree(sound, results)
    (results / "evil.py").write_text("raise SystemExit('executed')")
    monkeypatch.syspath_prepend(str(tmp_path))
    for table in ("studies", "trials"):
        rewrite(results / FILES[table], column, "planted.evil:make")
    store = Store(str(results))
    with pytest.raises(InputError, match=r"planted\.evil:make, a module in the results folder"):
        rerun(store, "resnet18-nano-deba-digits-search-0", console=None)  # type: ignore[arg-type]
    for read in readers(results, tmp_path):
        with suppress(AdasearchError):
            read()
    assert "planted.evil" not in sys.modules


def test_trial_of_another_scheduler_than_its_study_s_is_not_run_again(sound: Path, tmp_path: Path) -> None:
    results = tmp_path / "results"
    shutil.copytree(sound, results)
    rewrite(results / FILES["trials"], "scheduler", "antigravity:Fly")
    store = Store(str(results))
    with pytest.raises(InputError, match="names antigravity:Fly, but its study ran deba"):
        rerun(store, "resnet18-nano-deba-digits-search-0", console=None)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="names antigravity:Fly, but its study ran deba"):
        export(store, "resnet18-nano-deba-digits", output="x", trial_id="resnet18-nano-deba-digits-search-0")


class _Planted:
    """What a pickle makes of this would write a file."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.target,)


def test_checkpoint_executes_nothing_and_is_passed_over(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    written = io.BytesIO()
    torch.save({"identity": _Planted(tmp_path / "executed")}, written)
    for number, content in enumerate(
        (written.getvalue(), pickle.dumps(_Planted(tmp_path / "executed")), b"no")
    ):
        (folder / f"{number:08d}.pt").write_bytes(content)
    checkpoints = Checkpoints(str(folder), stored=9)
    assert checkpoints.load(None, ["any"]) is None  # type: ignore[arg-type]
    assert not (tmp_path / "executed").exists()


# --- YAML -----------------------------------------------------------------------------------------------

BOMB = "a: &a [x, x, x, x]\n" + "".join(
    f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)
MERGES = "a: &a {k: 1}\n" + "".join(
    f"{b}: &{b} {{<<: [{', '.join([f'*{a}'] * 9)}]}}\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)
SCALARS = st.none() | st.booleans() | INTS | FLOATS | TEXTS | st.text(max_size=5)
KEYS = st.sampled_from(
    "scheduler architecture fields wrappers window growth rule float int choice fixed quantile log default "
    "name batch_size smallest largest interval epochs train provenance schedule_version nano about dataset "
    "schedulers architectures cooldown".split()
)
DOCUMENTS = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)
FIELD = st.dictionaries(
    st.sampled_from(["float", "int", "choice", "fixed", "quantile", "log", "default"]), DOCUMENTS, max_size=3
)
SPACES = st.fixed_dictionaries(
    {"scheduler": st.sampled_from(["deba", "adabatch", "os:abort"]) | TEXTS},
    optional={"fields": st.dictionaries(KEYS, FIELD | DOCUMENTS, max_size=3), "wrappers": DOCUMENTS},
)


@given(text=st.one_of(DOCUMENTS, SPACES).map(lambda each: yaml.safe_dump(each)) | st.text(max_size=30))
@example(text=BOMB)
@example(text=MERGES)
@example(text="[" * 5000)
@example(text="scheduler: !!python/object/apply:os.abort []")
@example(text="{scheduler: deba, fields: {window: {int: [3, 0x" + "f" * 5000 + "]}}}")
@example(text="{scheduler: deba, fields: {window: {choice: [1e400, .nan, -.inf]}}}")
@example(text="{schedule_version: 1" + "0" * 4000 + "}")
@example(text="scheduler: !!float ''")
@example(text="scheduler: antigravity:Fly")
def test_whatever_a_yaml_file_holds_it_is_read_or_refused_in_one_line(text: str) -> None:
    with TemporaryDirectory() as place:
        file = Path(place, "some.yaml")
        file.write_bytes(text.encode(errors="surrogatepass"))
        for read in (
            lambda: load_space("schedulers", str(file), "deba"),
            lambda: load_space("architectures", str(file)),
            lambda: load_experiment(str(file)),
            lambda: load_schedule(file),
        ):
            said = ""
            try:
                read()
            except InputError as error:
                said = str(error)
            assert "\n" not in said
            assert len(said) < 1000
        assert list(Path(place).iterdir()) == [file]
    assert "antigravity" not in sys.modules


@pytest.mark.parametrize("name", ["../schedulers/deba", "/etc/hostname", "nul\0byte", "..", "x" * 5000])
def test_name_of_a_space_leads_to_no_other_file(name: str) -> None:
    with pytest.raises(InputError, match="unknown space for architectures"):
        load_space("architectures", name)
    with pytest.raises(InputError, match="unknown experiment"):
        load_experiment(name)


def test_schedule_imports_nothing_before_its_scheduler_is_asked_for(sound: Path, tmp_path: Path) -> None:
    file = tmp_path / "found.yaml"
    export(Store(str(sound)), "resnet18-nano-deba-digits", output=str(file))
    content = yaml.safe_load(file.read_text())
    file.write_text(yaml.safe_dump({**content, "name": "antigravity:Fly"}))
    assert load_schedule(file).name == "antigravity:Fly"
    assert "antigravity" not in sys.modules


# --- what a person sees ---------------------------------------------------------------------------------

HOSTILE = "<script>bad()</script>\"'><img src=x onerror=bad()>javascript:bad() \x1b[31m[red][/x] \u202e"
FREE = {
    "studies": "architecture scale dataset device device_profile precision sampler stopper".split(),
    "trials": "role error device dataset architecture scale".split(),
    "intervals": ["reason", "noise_form"],
    "profiles": ["architecture", "dataset", "device_name", "driver"],
}


@pytest.fixture(scope="module")
def hostile(sound: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results whose every text that is free holds markup of every kind, under a study of such a name."""
    results = tmp_path_factory.mktemp("hostile") / "results"
    shutil.copytree(sound, results)
    for table, columns in FREE.items():
        for path in results.glob(f"*/{table}/*.parquet" if table != "profiles" else "profiles/*.parquet"):
            for column in columns:
                rewrite(path, column, HOSTILE)
            if table == "trials" and path.stem.endswith("deba-digits-search-1"):
                rewrite(path, "status", "failed")
            if table in ("studies", "trials"):
                rewrite(path, "versions", '{"torch": "<script>bad()</script>"}')
            if table == "trials":
                rewrite(path, "params", '{"train/lr": "<script>bad()</script>[red]", "[/x]": 1}')
    named = results / "<script>bad()<br>[red]"
    shutil.copytree(results / "resnet18-nano-deba-digits", named)
    (named / "studies" / "resnet18-nano-deba-digits.parquet").rename(
        named / "studies" / f"{named.name}.parquet"
    )
    for path in named.glob("*/*.parquet"):
        if "intervals" not in path.parts:
            rewrite(path, "study", named.name)
    return results


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, list[tuple[str, str | None]]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, attrs))


def test_no_name_or_text_is_markup_in_the_report(hostile: Path, tmp_path: Path) -> None:
    from adasearch.report import report

    page = tmp_path / "page.html"
    report(Store(str(hostile)), str(page), Scope(force=True), progress=lambda *step: None)
    text = page.read_text()
    assert text.count("&lt;script&gt;bad()") > 20  # it is there, as text
    assert "\x1b" not in text
    tags = _Tags()
    tags.feed(text)
    assert sum(tag == "script" for tag, _ in tags.found) == 1
    assert not [tag for tag, _ in tags.found if tag in ("img", "br", "iframe", "base", "link", "object")]
    for _, attributes in tags.found:
        for name, value in attributes:
            assert not name.startswith("on")
            assert name not in ("href", "src") or (value or "").startswith("#")


@pytest.mark.parametrize(
    "arguments",
    [
        *(
            ["compare", "--force", "--format", form, "--results"]
            for form in ("text", "markdown", "csv", "json")
        ),
        ["list", "studies", "--results"],
        ["profile", "--results"],
        ["replay", "resnet18-nano-deba-digits-search-0", "--scheduler", "deba", "--results"],
        ["export", "resnet18-nano-deba-digits", "--output", "x.yaml", "--results"],
        ["doctor"],
        ["compact"],
    ],
    ids=lambda arguments: " ".join(arguments[:4]),
)
def test_nothing_that_steers_a_terminal_reaches_it(
    hostile: Path,
    tmp_path: Path,
    arguments: list[str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    results = tmp_path / "results"
    shutil.copytree(hostile, results)
    (results / "resnet18-nano-deba-digits" / "trials" / "\x1b[31m[red].parquet").write_bytes(b"no")
    monkeypatch.chdir(tmp_path)
    with suppress(SystemExit):
        main([*arguments, str(results)])
    said = capsys.readouterr()
    assert said.out or said.err
    assert all(each.isprintable() or each == "\n" for each in said.out + said.err)
    assert "Traceback" not in said.err


# --- Ray ------------------------------------------------------------------------------------------------


@pytest.mark.ray
@pytest.mark.soak
def test_all_of_an_embedded_ray_listens_on_loopback_alone(tmp_path: Path) -> None:
    command = (
        "search --architecture resnet18 --scheduler constant --subset 200 --epochs 2 --trials 4 --workers 2"
    )
    command += f" --slots 1 --results {tmp_path}"
    search = subprocess.Popen(
        [sys.executable, "-m", "adasearch", *command.split()], stdout=subprocess.DEVNULL
    )
    heard: set[tuple[str, int, str]] = set()
    while search.poll() is None:
        with suppress(psutil.Error):
            own = psutil.Process(search.pid)
            for process in [own, *own.children(recursive=True)]:
                with suppress(psutil.Error):
                    heard |= {
                        (process.name(), each.laddr.port, each.laddr.ip)
                        for each in process.net_connections(kind="inet")
                        if each.status == psutil.CONN_LISTEN
                    }
        time.sleep(0.2)
    assert search.returncode == 0
    assert {"gcs_server", "raylet"} <= {name for name, _, _ in heard}
    assert any("Worker" in name for name, _, _ in heard)  # PyTorch's store and gloo
    assert {ip for _, _, ip in heard} <= {"127.0.0.1", "::1", "::ffff:127.0.0.1"}
