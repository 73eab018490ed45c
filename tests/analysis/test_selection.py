import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adasearch.analysis.enough import MIN_TRIALS
from adasearch.analysis.selection import baseline_of, choose, comparable, error_bound, pick_trials
from adasearch.records import Status, StudyRecord, TrialRecord
from adasearch.schedulers.registry import BASELINE
from adasearch.tuning.optuna_source import STARTUP_TRIALS
from tests.rows import enough, study_of, trial_of

CONSTANT, DEBA = study_of(BASELINE), study_of("deba")


@dataclass(frozen=True)
class T:
    """One trial of a decision table."""

    val_error: float | None
    seconds: float | None
    status: Status = "complete"
    phase: str = "search"
    adaptations: int = 2


def trials_of(study: StudyRecord, rows: Sequence[T]) -> list[TrialRecord]:
    return [
        replace(
            trial_of(study, n, val_error=t.val_error, seconds=t.seconds, status=t.status, phase=t.phase),
            adaptations=0 if study.scheduler == BASELINE else t.adaptations,
        )
        for n, t in enumerate(rows)
    ]


@pytest.mark.parametrize(
    ("best", "n", "bound"),
    [
        (0.1, 100, 0.13),  # sqrt(0.1 * 0.9 / 100) = 0.03
        (0.2, 1600, 0.21),  # sqrt(0.2 * 0.8 / 1600) = 0.01
        (0.5, 100, 0.55),
        (0.0, 100, 0.0099498744),  # p = 1/n: sqrt(0.01 * 0.99 / 100)
        (0.005, 100, 0.0149498744),  # p = 1/n here, too
        (0.01, 100, 0.0199498744),  # and from here on p = best
        (1.0, 100, 1.0),
        (0.0, 1, 0.0),
    ],
)
def test_error_bound_is_one_standard_error_above_the_best(best: float, n: int, bound: float) -> None:
    assert error_bound(best, n) == pytest.approx(bound)


# 100 validation examples and a best constant error of 0.10 make E = 0.13.
RULE: dict[str, tuple[list[T], list[T], int | None, int | None]] = {
    "the reference is the fastest within E, not the best": ([T(0.10, 50), T(0.12, 40)], [], 1, None),
    "a faster constant trial above E does not count": ([T(0.10, 50), T(0.14, 40)], [], 0, None),
    "the candidate is the fastest within E, not the best": (
        [T(0.10, 50)],
        [T(0.05, 40), T(0.12, 30), T(0.14, 20)],
        0,
        1,
    ),
    "a candidate must be faster than the reference": ([T(0.10, 50)], [T(0.05, 50)], 0, None),
    "a slower one is no candidate, however good": ([T(0.10, 50)], [T(0.0, 51)], 0, None),
    "the reference, not the best constant trial, has to be beaten": (
        [T(0.10, 50), T(0.12, 40)],
        [T(0.10, 45)],
        1,
        None,
    ),
    "no adaptive trial within E": ([T(0.10, 50)], [T(0.14, 5)], 0, None),
    "a good adaptive trial does not lower E": ([T(0.10, 50)], [T(0.01, 49), T(0.12, 30)], 0, 1),
    "a tie of seconds goes to the lower error": (
        [T(0.12, 50), T(0.10, 50)],
        [T(0.11, 40), T(0.12, 40), T(0.10, 40)],
        1,
        2,
    ),
    "a tie of both goes to the lower number": (
        [T(0.10, 50), T(0.10, 50)],
        [T(0.5, 9), T(0.11, 40), T(0.11, 40)],
        0,
        1,
    ),
    "no constant study": ([], [T(0.10, 50)], None, None),
    "no complete constant trial": (
        [T(0.10, 50, "pruned"), T(0.10, 50, "failed"), T(None, None, "running")],
        [T(0.10, 40)],
        None,
        None,
    ),
    "what is not complete counts nowhere": (
        [T(0.10, 50), T(0.0, 1, "pruned"), T(0.0, 1, "failed"), T(0.0, 1, "running")],
        [T(0.05, 2, "pruned"), T(0.05, 2, "failed"), T(0.05, 2, "running"), T(0.10, 40)],
        0,
        3,
    ),
    "other phases count nowhere": (
        [T(0.10, 50), T(0.0, 1, phase="confirm"), T(0.0, 1, phase="train")],
        [T(0.05, 2, phase="confirm"), T(0.10, 40), T(0.05, 2, phase="rerun")],
        0,
        1,
    ),
    "a complete trial without an error counts nowhere": ([T(0.10, 50), T(None, 1)], [T(None, 2)], 0, None),
    "a slower trial that acted goes before a faster one that did not": (
        [T(0.10, 50)],
        [T(0.10, 20, adaptations=0), T(0.10, 40), T(0.10, 45)],
        0,
        1,
    ),
    "one that did not act is the candidate where none within E did": (
        [T(0.10, 50)],
        [T(0.10, 30, adaptations=0), T(0.10, 20, adaptations=0), T(0.14, 10)],
        0,
        1,
    ),
    "acting at no gain is no gain, whatever a constant run of other settings takes": (
        [T(0.10, 50)],
        [T(0.10, 20, adaptations=0), T(0.10, 60)],
        0,
        None,
    ),
    "a trial without seconds is the slowest": ([T(0.10, None), T(0.12, 50)], [T(0.10, None)], 1, None),
}


@pytest.mark.parametrize("case", RULE)
def test_rule_picks_reference_and_candidate(case: str) -> None:
    constant, adaptive, reference, candidate = RULE[case]
    choice = choose(
        trials_of(CONSTANT, constant), trials_of(DEBA, adaptive), val_examples=100, clock="measured"
    )
    assert (choice.reference.number if choice.reference else None) == reference
    assert (choice.candidate.number if choice.candidate else None) == candidate
    assert choice.error_bound == (None if reference is None else pytest.approx(0.13))


def test_trial_exactly_at_the_bound_counts_and_one_above_does_not() -> None:
    bound = error_bound(0.10, 100)
    for error, number in ((bound, 1), (math.nextafter(bound, 1), 0)):
        constant = trials_of(CONSTANT, [T(0.10, 50), T(error, 40)])
        choice = choose(constant, [], val_examples=100, clock="measured")
        assert choice.reference == constant[number]


def test_modelled_clock_judges_by_modelled_seconds() -> None:
    constant = [replace(t, modelled_seconds=s) for t, s in zip(_pair(CONSTANT), (5.0, 9.0), strict=True)]
    adaptive = [replace(t, modelled_seconds=s) for t, s in zip(_pair(DEBA), (6.0, 4.0), strict=True)]
    choice = choose(constant, adaptive, val_examples=100, clock="modelled")
    assert (choice.reference, choice.candidate) == (constant[0], adaptive[1])
    choice = choose(constant, adaptive, val_examples=100, clock="measured")
    assert (choice.reference, choice.candidate) == (constant[1], None)


def _pair(study: StudyRecord) -> list[TrialRecord]:
    return trials_of(study, [T(0.10, 50), T(0.10, 40)])


@given(
    points=st.lists(
        st.tuples(st.sampled_from([0.05, 0.1, 0.12, 0.2]), st.integers(1, 4), st.integers(0, 1)), max_size=8
    ),
    split=st.integers(0, 8),
)
def test_rule_agrees_with_its_definition(points: list[tuple[float, int, int]], split: int) -> None:
    rows = [T(error, float(spent), adaptations=acted) for error, spent, acted in points]
    constant, adaptive = trials_of(CONSTANT, rows[:split]), trials_of(DEBA, rows[split:])
    choice = choose(constant, adaptive, val_examples=100, clock="measured")
    if not constant:
        assert choice.reference is choice.candidate is None
        return
    bound = error_bound(min(t.val_error for t in constant if t.val_error is not None), 100)

    def ranked(trials: list[TrialRecord]) -> list[TrialRecord]:
        good = [t for t in trials if t.val_error is not None and t.val_error <= bound]
        return sorted(good, key=lambda t: (t.seconds("measured"), t.val_error, t.number))

    reference = ranked(constant)[0]
    assert choice.reference == reference
    fit = ranked(adaptive)
    first = next((t for t in fit if t.adaptations), fit[0] if fit else None)
    gained = first is not None and first.seconds("measured") < reference.seconds("measured")
    assert choice.candidate == (first if gained else None)


VERDICTS: dict[str, tuple[list[T], int, str]] = {
    "acted and gained": ([T(0.10, 20, adaptations=0), T(0.11, 40)], 1, "not confirmed"),
    "gained without acting": ([T(0.10, 20, adaptations=0), T(0.14, 40)], 0, "no change made"),
    "acted without a gain": ([T(0.11, 20, adaptations=0), T(0.10, 60)], 1, "no gain in search"),
}


@pytest.mark.parametrize("case", VERDICTS)
def test_verdict_says_whether_the_trial_acted_and_gained(case: str) -> None:
    adaptive, number, verdict = VERDICTS[case]
    trials = [*trials_of(CONSTANT, [T(0.10, 50)]), *trials_of(DEBA, adaptive)]
    pick = pick_trials([CONSTANT, DEBA], [*trials, *enough(CONSTANT, DEBA)])[DEBA.study]
    assert (pick.trial, pick.verdict) == (trials_of(DEBA, adaptive)[number], verdict)
    assert pick.stands_in == (verdict == "no gain in search")


@pytest.mark.parametrize("case", VERDICTS)
@pytest.mark.parametrize("few", [CONSTANT, DEBA])
def test_nothing_firm_is_said_of_too_few_trials(case: str, few: StudyRecord) -> None:
    adaptive, number, verdict = VERDICTS[case]
    trials = [*trials_of(CONSTANT, [T(0.10, 50)]), *trials_of(DEBA, adaptive), *enough(CONSTANT, DEBA)]
    kept = [t for t in trials if t.study != few.study or t.status == "complete" or t.number < 103]
    failed = [replace(t, status="failed") for t in trials if t not in kept]  # which tell nothing
    pick = pick_trials([CONSTANT, DEBA], [*kept, *failed])[DEBA.study]
    assert pick.verdict == "too few to say"
    assert pick.trial == trials_of(DEBA, adaptive)[number]
    assert pick.stands_in == (verdict == "no gain in search")


@pytest.mark.parametrize(
    ("reference", "candidate", "said"),
    [(0.9, 0.9, False), (0.67, 0.67, False), (0.66, 0.66, True), (0.9, 0.2, True), (0.2, 0.9, True)],
)
def test_nothing_firm_is_said_where_nothing_learnt(reference: float, candidate: float, said: bool) -> None:
    trials = [*trials_of(CONSTANT, [T(reference, 50)]), *trials_of(DEBA, [T(candidate, 40)])]
    pick = pick_trials([CONSTANT, DEBA], [*trials, *enough(CONSTANT, DEBA)])[DEBA.study]
    assert (pick.verdict != "too few to say") == said


def test_sixth_trial_is_the_first_that_follows_from_what_was_found() -> None:
    assert MIN_TRIALS == STARTUP_TRIALS + 1


# --- which studies are compared ---------------------------------------------------------------------


def prefixed(prefix: str | None, study: StudyRecord) -> StudyRecord:
    return replace(study, study=f"{prefix}-{study.study}" if prefix else study.study, prefix=prefix)


@pytest.mark.parametrize(
    ("prefix", "baselines", "found"),
    [
        (None, [None, "a"], None),
        ("a", [None, "a"], "a"),
        ("a", [None, "b"], None),  # none of the same prefix: the first that is alike
        ("a", ["a-constant-b", "a"], "a"),  # which a cut at "-constant-" took for one another
        ("a-constant-b", ["a", "a-constant-b"], "a-constant-b"),
    ],
)
def test_baseline_of_a_prefix_is_the_one_with_this_prefix(
    prefix: str | None, baselines: list[str | None], found: str | None
) -> None:
    constant = [prefixed(each, CONSTANT) for each in baselines]
    baseline = baseline_of(prefixed(prefix, DEBA), constant)
    assert baseline is not None
    assert baseline.prefix == found


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("architecture", "vit_b_16"),
        ("scale", "full"),
        ("fingerprint", "beef"),
        ("subset", 100),
        ("seed", 1),
        ("budget", 3200),
        ("workers", 2),
        ("precision", "bfloat16"),
        ("clock", "modelled"),
    ],
)
def test_studies_that_differ_are_not_compared(name: str, value: object) -> None:
    other = replace(CONSTANT, **{name: value})  # type: ignore[arg-type]
    assert baseline_of(DEBA, [DEBA, CONSTANT]) == CONSTANT
    assert baseline_of(DEBA, [DEBA, other]) is None
    assert baseline_of(DEBA, [other, CONSTANT]) == CONSTANT
    assert comparable([DEBA, CONSTANT]) == [[DEBA, CONSTANT]]
    assert comparable([DEBA, other]) == [[DEBA], [other]]
