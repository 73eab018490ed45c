"""What stands in the report; tests/report/test_browser.py looks at it as a reader does."""

import re
import shutil
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from matplotlib import rcParams

from adasearch.analysis.confirmed_runs import confirmed_rows
from adasearch.analysis.failures import failures
from adasearch.analysis.gather import Scope
from adasearch.analysis.search_table import search_rows
from adasearch.analysis.summary import in_one_sentence
from adasearch.cli.main import main
from adasearch.errors import InputError
from adasearch.plots.signals import draw_signals
from adasearch.plots.style import Drawn
from adasearch.profiles.profile import Statistic
from adasearch.profiles.profile_store import ProfileStore
from adasearch.records import TrialRecord
from adasearch.report import report
from adasearch.report.runs import drawn_runs, reached_cases, searched_importances
from adasearch.report.svg import PAGE, THEME, picture, themed
from adasearch.store import Store
from tests.profile_rows import speed_of, stability_of
from tests.profiles.test_critical import excess, profile_of
from tests.reported import HOSTILE, add_confirmed, add_hostile, write_large
from tests.rows import at_marks, enough, interval_at, study_of, trial_of

CONSTANT, DEBA = study_of("constant"), study_of("deba")


class Page(HTMLParser):
    """Tags, ids, and the text outside scripts and styles."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.ids: Counter[str] = Counter()
        self.links: list[str] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        given = dict(attrs)
        if given.get("id"):
            self.ids[given["id"] or ""] += 1
        self.links += [given[name] or "" for name in ("href", "src") if name in given]

    def handle_data(self, data: str) -> None:
        self.text += f"{data}\n"


def written(results: Path, tmp_path: Path, **scope: Any) -> str:
    file = tmp_path / "report.html"
    silent = lambda what, done, total: None  # noqa: E731
    report(Store(str(results)), str(file), Scope(**scope), progress=silent)
    return file.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def confirmed(small_results: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small search that was confirmed, and a study full of markup."""
    results = tmp_path_factory.mktemp("report") / "results"
    shutil.copytree(small_results, results)
    add_confirmed(results)
    add_hostile(results)
    return results


@pytest.fixture(scope="module")
def html(confirmed: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    return written(confirmed, tmp_path_factory.mktemp("page"))


def test_page_shows_verdicts_first_and_everything_else_after(html: str) -> None:
    text = Page(html).text
    parts = (
        *(
            "Verdicts",
            "faster at equal error",
            "Verdicts: fresh seeds, test split",
            "one seed, validation split",
            "What is gained",
        ),
        *("resnet18, nano, on digits", "Error against time", "Course over examples", "Course over time"),
        *("Time to the target", "Signals against thresholds: deba", "Where the time went", "Study health"),
        *("How the trials ended", "versions", "torch", "seeds", "search: 0", "hardware", "All tables"),
    )
    places = {part: text.find(part) for part in parts}
    assert [part for part, place in places.items() if place < 0] == []
    assert places["Verdicts"] < places["What is gained"] < places["Error against time"] < places["versions"]


def test_each_change_of_the_batch_size_is_a_mark_that_tells_its_reason(html: str, confirmed: Path) -> None:
    store = Store(str(confirmed))
    rows = store.intervals("resnet18-nano-deba-digits")["resnet18-nano-deba-digits-search-0"]
    reasons = [row.decision.reason for row in rows if row.decision.action != "hold"]
    assert reasons
    for reason in reasons:
        shown = reason.replace("<", "&lt;").replace(">", "&gt;")
        assert html.count(f"{shown}</title>") >= 2, "over examples and over time"
        assert f"{shown}</li>" in html


def test_what_a_user_wrote_is_text_and_no_markup(html: str) -> None:
    page = Page(html)
    assert HOSTILE not in html
    assert page.tags["script"] == 1
    assert page.text.count(HOSTILE) >= 4  # network, error, reason in a figure and in a list
    assert f"{HOSTILE}$x$&amp;" in page.text


def test_page_needs_no_other_file(html: str) -> None:
    assert all(link.startswith("#") for link in Page(html).links)
    assert "@import" not in html
    assert not re.search(r"url\((?!#)", html)
    assert "default-src 'none'" in html


def test_no_id_stands_twice(html: str) -> None:
    assert [name for name, count in Page(html).ids.items() if count > 1] == []


def test_a_thousand_trials_stay_below_five_megabytes(tmp_path: Path) -> None:
    write_large(tmp_path / "results", trials=125, intervals=12)
    page = written(tmp_path / "results", tmp_path)
    assert "1000 trials" in page
    assert len(page.encode()) < 5e6


def test_more_trials_than_are_drawn_are_thinned_and_counted(tmp_path: Path) -> None:
    write_large(tmp_path / "results", networks=1, trials=320, intervals=2)
    page = written(tmp_path / "results", tmp_path)
    # All lie on one front, which is drawn whole, so only a second store shows the thinning.
    assert "trials are drawn" not in page
    store = Store(str(tmp_path / "results"))
    for trial in store.trials(CONSTANT.study.replace("resnet18", "net0")):
        if trial.number:
            store.write_trial(replace(trial, train_seconds=100.0 + trial.number))
    assert "620 of 640 trials are drawn" in written(tmp_path / "results", tmp_path)


# --- what is not there ----------------------------------------------------------------------------------


def test_folder_without_a_study_is_a_page_that_says_so(tmp_path: Path) -> None:
    (tmp_path / "results").mkdir()
    assert "There is no study in this folder yet" in written(tmp_path / "results", tmp_path)


def test_profiles_say_what_can_be_saved_and_show_the_critical_batch(tmp_path: Path) -> None:
    store, profiles = Store(str(tmp_path / "results")), ProfileStore(str(tmp_path / "results"))
    store.write_study(DEBA)
    assert "Ceilings" not in Page(written(tmp_path / "results", tmp_path)).text
    noise = tuple(
        Statistic("noise_scale", epoch, scale, None, None) for epoch, scale in ((1.0, 40), (20.0, 90))
    )
    profiles.write(replace(stability_of(DEBA), figures=noise))
    profiles.write(speed_of(DEBA))
    profiles.write(profile_of(excess(1000, 32, 0.0), excess(1000, 64, 1.0)))
    text = Page(written(tmp_path / "results", tmp_path)).text
    for part in ("Ceilings before any search: a model", "best constant batch", "McCandlish's model"):
        assert part in text
    assert "Critical batch, measured" in text
    assert "32 examples (32 to 32) at 1,000 examples seen" in text


def test_study_that_has_only_begun_shows_what_is_there(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "results"))
    store.write_study(DEBA)
    assert "0 complete, 0 stopped early, 0 failed, 0 unfinished" in written(tmp_path / "results", tmp_path)
    store.write_trial(trial_of(DEBA, 0, status="running"))
    store.write_trial(replace(trial_of(DEBA, 1, status="failed"), error="out of paper"))
    store.write_trial(trial_of(DEBA, 2, status="pruned", val_error=0.5, seconds=3))
    page = written(tmp_path / "results", tmp_path)
    assert "0 complete, 1 stopped early, 1 failed, 1 unfinished" in page
    assert "out of paper" in page
    assert "no complete trial" in page


def test_search_that_was_not_confirmed_says_so(small_results: Path, tmp_path: Path) -> None:
    text = Page(written(small_results, tmp_path)).text
    assert "not confirmed: resnet18-nano-deba-digits" in text
    assert "Time to the target: not confirmed" in text
    assert "deba: too few trials: 2, at least 8" in text


def test_complete_trial_without_intervals_has_no_course(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "results"))
    for study, seconds in ((CONSTANT, 50), (DEBA, 40)):
        store.write_study(study)
        store.write_trial(replace(trial_of(study, 0, val_error=0.1, seconds=seconds), adaptations=2))
    page = written(tmp_path / "results", tmp_path)
    assert "Error against time" in page
    assert "Course over examples" not in page


# --- the command ----------------------------------------------------------------------------------------


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    with pytest.raises(SystemExit) as stop:
        main(["report", *arguments])
    assert isinstance(stop.value.code, int)
    return stop.value.code, capsys.readouterr().err


def test_command_writes_the_file_and_says_what_is_in_it(
    small_results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "deep" / "page.html"
    main(["report", "--results", str(small_results), "--output", str(file)])
    assert re.fullmatch(rf"{file}: 2 studies, 4 trials, 0\.\d MB\n", capsys.readouterr().out)
    assert file.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    assert [each.name for each in file.parent.iterdir()] == ["page.html"]


def test_command_refuses_in_one_line(
    small_results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results = str(small_results)
    for arguments, says in (
        (["--results", str(tmp_path / "none")], "must be an existing folder but is not there"),
        (["--results", results, "--study", "resnet"], "unknown study 'resnet'"),
        (["--results", results, "--output", str(tmp_path)], "must be a file but"),
        (["--results", results, "--output", str(small_results / "x\0")], "cannot be written"),
        (["--results", results, "--device-profile", "h100"], "unknown device profile 'h100'"),
    ):
        code, error = refused(capsys, *arguments)
        assert code == 2, arguments
        assert says in error
        assert len(error.splitlines()) == 1


def test_studies_that_are_not_alike_are_refused_or_marked(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "results"))
    store.write_study(CONSTANT)
    store.write_study(replace(DEBA, budget=99))
    with pytest.raises(InputError, match="studies differ in budget"):
        written(tmp_path / "results", tmp_path)
    assert "<strong>Not alike:</strong> studies differ in budget" in written(
        tmp_path / "results", tmp_path, force=True
    )
    assert "Not alike" not in written(tmp_path / "results", tmp_path, studies=[DEBA.study])


# --- figures and what they rest on ----------------------------------------------------------------------


def test_figure_takes_the_pages_colours_and_its_marks_their_texts() -> None:
    @themed
    def drawn(*texts: str) -> Drawn:
        figure = PAGE.figure(2)
        axes = figure.add_subplot()
        (dots,) = axes.plot([1, 2, 3], [1, 2, 3], "o", color=PAGE.ink)
        (bar,) = axes.barh(1, 2, color=PAGE.ink)
        axes.set_title("a $x$ <b>")
        return Drawn(figure, [(dots, texts), (bar, ["four"])])

    before = dict(rcParams)
    made = picture(drawn("one", "<two>", "three"), "t", "a")
    assert made is not None
    svg = str(made.svg)
    assert dict(rcParams) == before
    assert "fill: var(--ink)" in svg
    assert not [light for light, _ in THEME.values() if light in svg]
    assert re.findall(r"<title>(.*?)</title>", svg) == ["four", "one", "&lt;two&gt;", "three"]
    assert "a $x$ &lt;b&gt;</text>" in svg
    with pytest.raises(ValueError, match="shorter"):
        picture(drawn("one"), "t", "a")
    assert picture(Drawn(PAGE.figure(2), []), "nothing to see", "a") is None


def test_logarithmic_axis_shows_numbers_and_no_tex() -> None:
    rows = [interval_at(i) for i in range(3)]
    noisy = [replace(r, signals=replace(r.signals, grad_noise=10.0**i)) for i, r in enumerate(rows, 1)]
    made = picture(themed(draw_signals)(noisy, style=PAGE), "Signals", "net")
    assert made is not None
    assert {"10", "100", "1,000"} <= set(re.findall(r">([^<>]+)</text>", str(made.svg)))
    assert "mathdefault" not in str(made.svg)


def test_drawn_runs_are_default_reference_and_what_stands_for_each_scheduler() -> None:
    trials = [
        trial_of(CONSTANT, 0, val_error=0.12, seconds=60),
        trial_of(CONSTANT, 1, val_error=0.10, seconds=50),
        replace(trial_of(DEBA, 0, val_error=0.1, seconds=40), adaptations=1),
        *enough(CONSTANT, DEBA),
    ]
    rows = {trial.trial_id: at_marks((0.5, 3.0), (0.1, 4.0)) for trial in trials[:3]}
    found = drawn_runs([DEBA, CONSTANT], trials, rows)
    assert [(each.label, each.trial.trial_id) for each in found] == [
        ("untuned default", trials[0].trial_id),
        ("reference", trials[1].trial_id),
        ("deba", trials[2].trial_id),
    ]
    assert found[0].seconds == [3.0, 7.0]
    assert drawn_runs([DEBA], trials, rows)[0].label == "deba (no reference)"
    modelled = [replace(study, clock="modelled") for study in (DEBA, CONSTANT)]
    assert not any(each.timed for each in drawn_runs(modelled, trials, rows))


def test_reached_are_the_seeds_of_each_role_by_time() -> None:
    search = [
        trial_of(CONSTANT, 0, val_error=0.1, seconds=50),
        replace(trial_of(DEBA, 0, val_error=0.1, seconds=40), adaptations=1),
    ]
    runs, rows = [], {}
    for number, (role, source, course) in enumerate(
        [
            ("candidate", search[1], ((0.4, 2.0), (0.1, 2.0))),
            ("candidate", search[1], ((0.4, 2.0), (0.4, 2.0))),
            ("reference", search[0], ((0.4, 3.0), (0.1, 3.0))),
            ("reference", search[0], ((0.1, 3.0), (0.1, 3.0))),
        ]
    ):
        run = trial_of(DEBA, number, phase="confirm", val_error=course[-1][0], seconds=4)
        runs.append(replace(run, role=role, source_trial_id=source.trial_id, test_error=0.1, seed=number % 2))
        rows[run.trial_id] = at_marks(*course)
    studies, trials = [CONSTANT, DEBA], [*search, *runs]
    (case,) = reached_cases(DEBA, confirmed_rows(studies, trials, rows), trials, rows)
    inf = float("inf")
    # The default is the reference, which ran once for both.
    assert [(each.role, list(each.seconds)) for each in case] == [
        ("candidate", [4.0, inf]),
        ("reference", [6.0, 3.0]),
        ("default", [6.0, 3.0]),
    ]
    assert case[0].target == pytest.approx(0.11)
    assert list(case[0].ended) == [4.0, 4.0]


@pytest.mark.parametrize(("count", "evaluator"), [(12, "fanova"), (101, "ped-anova")])
def test_very_many_trials_take_the_faster_evaluator(count: int, evaluator: str) -> None:
    space = '{"scheduler":"deba","fields":{"growth":{"float":[1.1,3.0]},"window":{"int":[3,20]}}}'
    study = replace(DEBA, scheduler_space=space)
    trials = [
        trial_of(
            study,
            n,
            val_error=0.1 + n % 7 / 10,
            seconds=50 + n % 5,
            params={"scheduler/growth": 1.2 + n % 7 / 10, "scheduler/window": 3 + n % 5},
        )
        for n in range(count)
    ]
    rows = searched_importances([study], trials)
    assert {row.evaluator for row in rows} == {evaluator}
    shares = {row.parameter: row.importance for row in rows if row.objective == "val_error"}
    assert (shares["scheduler/growth"] or 0) > (shares["scheduler/window"] or 0)


def test_equal_failures_are_counted() -> None:
    trials = [
        replace(trial_of(DEBA, n, status="failed"), error=error) for n, error in enumerate(["a", "b", "b"])
    ]
    found = [(each.error, each.count, each.trial_id) for each in failures(trials, "results")]
    assert found == [("b", 2, trials[1].trial_id), ("a", 1, trials[0].trial_id)]


def test_report_begins_with_the_result_in_a_sentence_and_explains_its_words(
    confirmed: Path, tmp_path: Path
) -> None:
    page = Page(written(confirmed, tmp_path)).text
    head = page.partition("Verdicts")[0]
    assert "Against a tuned constant batch" in head
    words = page.partition("What the words mean")[2]
    for word in ("reference", "untuned default", "speed-up", "fresh seeds"):
        assert word in words
    assert "no run on a fresh seed" not in words  # a verdict that is not on the page


def test_sentence_names_what_gains_and_counts_the_rest() -> None:
    constant, deba, cabs = study_of("constant"), study_of("deba"), study_of("cabs")

    def runs(role: str, seconds: float, error: float, first: int) -> list[TrialRecord]:
        source = f"{(deba if role == 'candidate' else constant).study}-search-0"
        made = [
            trial_of(deba, first + n, phase="confirm", val_error=error, seconds=seconds) for n in range(5)
        ]
        return [
            replace(t, role=role, source_trial_id=source, seed=n, test_error=error, adaptations=1)
            for n, t in enumerate(made)
        ]

    search = [
        trial_of(constant, 0, val_error=0.2, seconds=10.0),
        replace(trial_of(deba, 0, val_error=0.2, seconds=5.0), adaptations=1),
        replace(trial_of(cabs, 0, val_error=0.5, seconds=5.0), adaptations=1),
        *enough(constant, deba, cabs),
    ]

    def sentence(error: float) -> str:
        trials = [*search, *runs("candidate", 5.0, error, 0), *runs("reference", 10.0, 0.2, 5)]
        studies = [constant, deba, cabs]
        return in_one_sentence(search_rows(studies, trials), confirmed_rows(studies, trials, {}))

    gains = "resnet18 with deba is faster at equal error, 2.00x [2.00, 2.00] (over 5 fresh seeds)"
    assert sentence(0.2).startswith(f"Against a tuned constant batch {gains}; of the others 1 not")
    assert sentence(0.45) == (
        "Against a tuned constant batch no schedule is confirmed to gain: 1 checked on fresh "
        "seeds (1 worse error, less time) and 1 not checked (1 no gain in search)."
    )
    assert in_one_sentence([], []) == "No adaptive schedule was searched here yet."
