import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Literal, cast

import pytest

from adasearch.records import Decision, Limits, Signals
from adasearch.schedulers.deba import Deba
from tests.schedulers.rows import WIDE, row, run

# With two quiet rows (1, 1, 1) before the last, the median of the variances is 1 whatever the last one is.
# A vanishing eps then makes the indicators exact: c = variance, dG = |norm - 1|, dL = |loss - 1|.
EXACT = 1e-30
QUIET, NOISY = 1.0, 4.0  # theta_conf = 2
SMALL, LARGE = 1.25, 2.0  # theta_stab = 0.5


def third_row(variance: float, norm: float, loss: float, batch_size: int = 32) -> list[Signals]:
    quiet = [row(0, batch_size=batch_size), row(1, batch_size=batch_size)]
    return [*quiet, row(2, batch_size=batch_size, variance=variance, norm=norm, loss=loss)]


def deba(rule: Literal["settle", "noise"] = "settle", cooldown: int = 0) -> Deba:
    return Deba(rule=rule, confidence_threshold=2.0, stability_threshold=0.5, cooldown=cooldown, eps=EXACT)


def of_variances(variances: Sequence[float]) -> list[Signals]:
    return [row(interval, variance=variance) for interval, variance in enumerate(variances)]


# From 32: 1.5 * 32 = 48 and 0.8 * 32 = 25.6, rounded down to 25.
@pytest.mark.parametrize(
    ("variance", "norm", "loss", "settle", "noise"),
    [
        (QUIET, SMALL, SMALL, 48, 32),
        (QUIET, SMALL, LARGE, 32, 32),
        (QUIET, LARGE, SMALL, 32, 32),
        (QUIET, LARGE, LARGE, 32, 25),
        (NOISY, SMALL, SMALL, 32, 48),
        (NOISY, SMALL, LARGE, 25, 32),
        (NOISY, LARGE, SMALL, 25, 32),
        (NOISY, LARGE, LARGE, 25, 25),
        # a fall counts like a rise
        (QUIET, 0.75, 0.75, 48, 32),
        (QUIET, 0.25, 0.25, 32, 25),
        # c == theta_conf is not noisy: the rule asks c > theta_conf
        (2.0, SMALL, SMALL, 48, 32),
        (2.0, LARGE, SMALL, 32, 32),
        (math.nextafter(2.0, 3.0), SMALL, SMALL, 32, 48),
        # dG == theta_stab is not stable: the rule asks dG < theta_stab
        (QUIET, 1.5, SMALL, 32, 32),
        (NOISY, 1.5, SMALL, 25, 32),
        (QUIET, 0.5, LARGE, 32, 25),
        (QUIET, math.nextafter(1.5, 1.0), SMALL, 48, 32),
        # and so for dL
        (QUIET, SMALL, 1.5, 32, 32),
        (NOISY, SMALL, 0.5, 25, 32),
        (NOISY, LARGE, 1.5, 25, 25),
        (NOISY, SMALL, math.nextafter(1.5, 1.0), 32, 48),
    ],
)
def test_deba_decides_as_the_formulas_say(
    variance: float, norm: float, loss: float, settle: int, noise: int
) -> None:
    history = third_row(variance, norm, loss)
    assert deba("settle").decide(history, WIDE).batch_size == settle
    assert deba("noise").decide(history, WIDE).batch_size == noise


def test_deba_indicators_follow_the_formulas() -> None:
    # median(1, 1, 4) = 1; |2 - 1| / 1; |0.75 - 1| / 1
    assert deba().indicators(third_row(4.0, 2.0, 0.75)) == (4.0, 1.0, 0.25)


def test_deba_divides_by_the_size_of_a_negative_loss() -> None:
    history = [row(0), row(1, loss=-2.0), row(2, loss=-1.0)]
    assert deba().indicators(history).dl == 0.5


def test_deba_reason_shows_each_number_beside_its_threshold() -> None:
    history = third_row(2.0, 1.5, 1.25)
    assert deba().decide(history, WIDE).reason == "c=2 <= 2, dG=0.5 >= 0.5, dL=0.25 < 0.5"
    assert deba().decide(third_row(4.0, 1.0, 1.0), WIDE).reason == "c=4 > 2, dG=0 < 0.5, dL=0 < 0.5"


@pytest.mark.parametrize("signals", [(QUIET, SMALL, SMALL), (NOISY, LARGE, LARGE), (QUIET, LARGE, SMALL)])
def test_deba_never_touches_the_learning_rate(signals: tuple[float, float, float]) -> None:
    history = [replace(seen, lr_scale=0.25) for seen in third_row(*signals)]
    assert deba().decide(history, WIDE).lr_scale == 0.25


@pytest.mark.parametrize(
    ("size", "limits", "expected", "reason"),
    [
        (2048, WIDE, (2048, "hold"), "wanted 3072, but 2048 is the largest size"),
        (1842, WIDE, (2048, "grow"), "wanted 2763, but 2048 is the largest size; c=1 <= 2"),
        (16, Limits(smallest=16, largest=16), (16, "hold"), "wanted 24, but 16 is the largest size"),
        # 1.5 * 48 = 72 and 1.5 * 72 = 108, which is 4.5 times 24
        (48, Limits(smallest=24, largest=240, multiple_of=24), (72, "grow"), "c=1 <= 2"),
        (72, Limits(smallest=24, largest=240, multiple_of=24), (96, "grow"), "c=1 <= 2"),
        # 1.5 * 24 = 36 rounds back to 24, but a wish to grow moves by one multiple at least
        (24, Limits(smallest=24, largest=240, multiple_of=24), (48, "grow"), "c=1 <= 2"),
    ],
)
def test_deba_grows_within_the_limits(
    size: int, limits: Limits, expected: tuple[int, str], reason: str
) -> None:
    decision = deba().decide(third_row(QUIET, SMALL, SMALL, batch_size=size), limits)
    assert (decision.batch_size, decision.action) == expected
    assert decision.reason.startswith(reason)


@pytest.mark.parametrize(
    ("size", "limits", "expected", "reason"),
    [
        (25, WIDE, (20, "shrink"), "c=4 > 2"),
        (20, WIDE, (16, "shrink"), "c=4 > 2"),
        (17, WIDE, (16, "shrink"), "wanted 13.6, but 16 is the smallest size; c=4 > 2"),
        (16, WIDE, (16, "hold"), "wanted 12.8, but 16 is the smallest size"),
        (48, Limits(smallest=24, largest=240, multiple_of=24), (24, "shrink"), "c=4 > 2"),  # 38.4
        # 0.8 * 240 = 192 = 8 * 24 exactly
        (240, Limits(smallest=24, largest=240, multiple_of=24), (192, "shrink"), "c=4 > 2"),
    ],
)
def test_deba_shrinks_within_the_limits(
    size: int, limits: Limits, expected: tuple[int, str], reason: str
) -> None:
    decision = deba().decide(third_row(NOISY, LARGE, LARGE, batch_size=size), limits)
    assert (decision.batch_size, decision.action) == expected
    assert decision.reason.startswith(reason)


def test_deba_recovers_after_the_cap() -> None:
    # Four held intervals at the cap, then unrest: a hold starts no cooldown, and 0.8 * 2048 = 1638.4.
    at_cap = [row(interval, batch_size=2048) for interval in range(6)]
    unrest = row(6, batch_size=2048, variance=NOISY, norm=LARGE)
    assert deba(cooldown=5).decide(at_cap, WIDE).reason.startswith("wanted 3072")
    assert deba(cooldown=5).decide([*at_cap, unrest], WIDE).batch_size == 1638


def test_deba_grows_again_after_recovering_from_the_cap() -> None:
    decision = deba().decide(third_row(QUIET, SMALL, SMALL, batch_size=1638), WIDE)
    assert (decision.batch_size, decision.action) == (2048, "grow")  # 2457 is cut


@pytest.mark.parametrize("intervals", [1, 2])
def test_deba_holds_in_the_first_two_intervals(intervals: int) -> None:
    decision = Deba().decide([row(interval) for interval in range(intervals)], WIDE)
    assert decision.action == "hold"
    assert decision.reason == f"{intervals} of at least 3 intervals seen"


def test_deba_decides_from_the_third_interval_on() -> None:
    assert Deba().decide([row(0), row(1), row(2)], WIDE).batch_size == 48


@pytest.mark.parametrize(
    ("cooldown", "sizes"),
    [
        # A size is in force for one interval at least, so 0 and 1 say the same.
        (0, [32] * 3 + [48, 72, 108, 162]),
        (1, [32] * 3 + [48, 72, 108, 162]),
        (2, [32] * 3 + [48] * 2 + [72] * 2 + [108] * 2),
        (5, [32] * 3 + [48] * 5 + [72] * 5 + [108] * 5 + [162]),
    ],
)
def test_deba_waits_for_cooldown(cooldown: int, sizes: list[int]) -> None:
    history = run(Deba(cooldown=cooldown), len(sizes))
    assert [seen.batch_size for seen in history] == sizes


def test_deba_reason_counts_the_cooldown() -> None:
    history = [row(0), row(1), row(2), row(3, batch_size=48), row(4, batch_size=48)]
    decision = Deba(cooldown=5).decide(history, WIDE)
    assert (decision.batch_size, decision.reason) == (48, "cooldown: 2 of 5 intervals at this size")


def test_deba_cooldown_follows_a_shrink_too() -> None:
    unrest = [row(interval, batch_size=25, variance=4.0**interval, norm=4.0**interval) for interval in (3, 4)]
    history = [row(0), row(1), row(2), *unrest]
    assert deba(cooldown=3).decide(history, WIDE).reason == "cooldown: 2 of 3 intervals at this size"
    assert deba(cooldown=2).decide(history, WIDE).batch_size == 20


def test_deba_initial_size_has_no_cooldown() -> None:
    assert Deba(cooldown=100).decide([row(0), row(1), row(2)], WIDE).action == "grow"


def test_deba_climbs_the_ladder_of_the_paper_in_no_fewer_than_51_intervals() -> None:
    history = run(Deba(growth=1.5, cooldown=5), 60)
    sizes = [seen.batch_size for seen in history]
    ladder = [32, 48, 72, 108, 162, 243, 364, 546, 819, 1228, 1842, 2048]
    assert list(dict.fromkeys(sizes)) == ladder
    # The first change comes after interval 3, each of the other ten 5 later: 3 + 10 * 5 = 53, not before 51.
    assert sizes.index(2048) == 53


def test_deba_steps_down_the_ladder_to_the_floor() -> None:
    size, ladder = 64, [64]
    while (decision := deba().decide(third_row(NOISY, LARGE, LARGE, size), WIDE)).action == "shrink":
        size = decision.batch_size
        ladder.append(size)
    assert ladder == [64, 51, 40, 32, 25, 20, 16]  # 51.2, 40.8, 32, 25.6, 20, 16


def test_deba_window_decides_whose_median_counts() -> None:
    history = of_variances([8.0, 8.0, 8.0, 1.0, 1.0, 2.0])
    # median(1, 1, 2) = 1; median(8, 1, 1, 2) = 1.5; median(1, 1, 2, 8, 8, 8) = 5
    assert Deba(window=3, eps=EXACT).indicators(history).c == 2.0
    assert Deba(window=4, eps=EXACT).indicators(history).c == 2.0 / 1.5
    assert Deba(window=0, eps=EXACT).indicators(history).c == 0.4
    assert Deba(window=3, eps=EXACT).decide(history, WIDE).action == "hold"
    assert Deba(window=0, eps=EXACT).decide(history, WIDE).action == "grow"


def test_deba_window_that_is_not_full_uses_what_is_there() -> None:
    history = of_variances([8.0, 8.0, 2.0])
    assert Deba(window=15, eps=EXACT).indicators(history).c == 0.25


def test_deba_mean_gradient_reads_the_other_signals() -> None:
    step, mean = Deba(), Deba(gradient="mean_gradient")
    history = [row(i, mean_norm=1.0, mean_variance=1.0) for i in (0, 1)]
    # Each step's gradient is settled, the mean gradient is not: c = 4, dG = 1.
    history.append(row(2, mean_norm=2.0, mean_variance=4.0))
    assert step.decide(history, WIDE).action == "grow"
    assert mean.decide(history, WIDE).action == "shrink"
    assert step.needs == {"grad_norm", "grad_component_variance"}
    assert mean.needs == {"mean_grad_norm", "mean_grad_component_variance"}


@pytest.mark.parametrize(
    ("scheduler", "history", "missing"),
    [
        (Deba(), [row(norm=None)], "'grad_norm' is needed but interval 0"),
        (Deba(), [row(0), row(1, variance=None)], "'grad_component_variance' is needed but interval 1"),
        (Deba(gradient="mean_gradient"), [row(mean_variance=1.0)], "'mean_grad_norm'"),
        (Deba(gradient="mean_gradient"), [row(mean_norm=1.0)], "'mean_grad_component_variance'"),
    ],
)
def test_deba_names_the_signal_that_was_not_measured(
    scheduler: Deba, history: list[Signals], missing: str
) -> None:
    with pytest.raises(ValueError, match=missing):
        scheduler.decide(history, WIDE)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("where", ["norm", "variance", "loss"])
def test_deba_holds_while_its_last_two_rows_hold_an_unusable_signal(bad: float, where: str) -> None:
    names = {"norm": "grad_norm", "variance": "grad_component_variance", "loss": "train_loss"}
    spoilt = {
        "norm": row(2, norm=bad),
        "variance": row(2, variance=bad),
        "loss": row(2, loss=bad),
    }[where]
    history = [row(0), row(1), spoilt]
    for rows in (history, [*history, row(3)]):
        decision = Deba(window=3).decide(rows, WIDE)
        assert (decision.action, decision.reason) == ("hold", f"{names[where]} is {bad}")
    # Two rows later the variations no longer read it; the median leaves it out.
    for window in (0, 3, 15):
        assert Deba(window=window).decide([*history, row(3), row(4)], WIDE).action == "grow"


def test_deba_median_leaves_out_what_is_not_finite() -> None:
    # median(8, 2, 1, 4) = 3 without the two bad rows; 4 / 3
    history = of_variances([8.0, math.nan, math.inf, 2.0, 1.0, 4.0])
    assert Deba(window=0, eps=EXACT).indicators(history).c == 4.0 / 3.0
    # median(2, 1, 4) = 2: the window counts rows, and of its last four one is bad
    assert Deba(window=4, eps=EXACT).indicators(history).c == 2.0


def test_deba_indicators_of_bad_rows_alone_are_nan() -> None:
    assert math.isnan(Deba().indicators(of_variances([math.nan, math.nan])).c)


def test_deba_eps_halves_a_confidence_of_its_own_size() -> None:
    # s = median = eps: c = eps / (eps + eps)
    history = of_variances([1e-8, 1e-8, 1e-8])
    assert Deba(eps=1e-8).indicators(history).c == 0.5
    assert Deba(eps=EXACT).indicators(history).c == 1.0


def test_deba_eps_keeps_zeros_apart_from_unrest() -> None:
    dead = [row(interval, norm=0.0, variance=0.0, loss=0.0) for interval in range(3)]
    assert Deba().indicators(dead) == (0.0, 0.0, 0.0)
    assert Deba().indicators([*dead, row(3, norm=1.0, variance=0.0, loss=0.0)]).dg == 1e8


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Deba(rule="both"), "rule must be 'settle' or 'noise' but got rule='both'"),  # type: ignore[arg-type]
        (lambda: Deba(gradient="last"), "gradient must be one of .* but got gradient='last'"),  # type: ignore[arg-type]
        (lambda: Deba(confidence_threshold=0), "confidence_threshold must be greater than 0 but got"),
        (lambda: Deba(confidence_threshold=math.nan), "but got confidence_threshold=nan"),
        (lambda: Deba(stability_threshold=-0.1), "but got stability_threshold=-0.1"),
        (lambda: Deba(stability_threshold=math.inf), "but got stability_threshold=inf"),
        (lambda: Deba(eps=0), "eps must be greater than 0 but got eps=0"),
        (lambda: Deba(window=-1), "window must be 0 .* or at least 3 but got window=-1"),
        (lambda: Deba(window=cast(int, 4.0)), "window must be 0 .* or at least 3 but got window=4.0"),
        (lambda: Deba(window=1), "but got window=1"),
        (lambda: Deba(window=2), "but got window=2"),
        (lambda: Deba(growth=1), "growth must be greater than 1 but got growth=1"),
        (lambda: Deba(growth=math.inf), "but got growth=inf"),
        (lambda: Deba(shrink=0), r"shrink must lie in \(0, 1\) but got shrink=0"),
        (lambda: Deba(shrink=1), "but got shrink=1"),
        (lambda: Deba(shrink=math.nan), "but got shrink=nan"),
        (lambda: Deba(cooldown=-1), "cooldown must be at least 0 but got cooldown=-1"),
    ],
)
def test_deba_refuses_a_value_outside_its_domain(build: Callable[[], Deba], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build()


def test_deba_accepts_the_edges_of_its_domains() -> None:
    edge = Deba(window=3, cooldown=0, growth=1.001, shrink=0.999, eps=EXACT)
    assert edge.decide([row(0), row(1), row(2)], WIDE) == Decision(
        batch_size=33, lr_scale=1.0, action="grow", reason="c=1 <= 1, dG=0 < 0.1, dL=0 < 0.1"
    )


def test_deba_defaults_are_those_of_the_paper_where_it_names_them() -> None:
    default = Deba()
    assert (default.window, default.growth, default.shrink, default.eps) == (15, 1.5, 0.8, 1e-8)
    assert default.cooldown == 5  # the least that the paper calls essential
