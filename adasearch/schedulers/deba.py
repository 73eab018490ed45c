"""DEBA: grow while training is settled, step back while it is not (Belias et al., arXiv 2511.03809).

Once per interval t, with g the gradient and L the training loss::

    s_t  = (1/d) * sum_i (g_t[i] - mean(g_t))^2                    component variance
    dG_t = |‖g_t‖ - ‖g_{t-1}‖| / (‖g_{t-1}‖ + eps)                 norm variation; dL_t likewise of L
    c_t  = s_t / (median(s over the window, t included) + eps)     confidence score
    stable_grad = dG_t < theta_stab,   stable_loss = dL_t < theta_stab

Known from abstract and reviews: these formulas, window 15, factors 1.5 and 0.8, bounds 16 to 2048 (our
Limits), a cooldown of 5 or more epochs, no rescaling of the learning rate. Unknown, so parameters of ours:
which predicate fires which action (``rule``), the thresholds, which ``gradient``. Ours, too: only a change
starts the cooldown; the median is of the finite values in the window, from 3 intervals (not epochs) on.
"""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple

from adasearch.errors import require
from adasearch.records import Decision, Limits, Signals
from adasearch.schedulers.base import LR_SCHEDULES, hold, read, resize, unusable, variation, waiting
from adasearch.schedulers.coupling import Coupling, Noise, coupled, needs_of, require_of

__all__ = ["Deba", "DebaIndicators"]

FIRST_DECISION = 3  # intervals; a median of fewer says nothing
PREFIX = {"per_step": "grad", "mean_gradient": "mean_grad"}  # of the signals' names


class DebaIndicators(NamedTuple):
    """What is compared with the thresholds: ``c`` with theta_conf, ``dg`` and ``dl`` with theta_stab."""

    c: float
    dg: float
    dl: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Deba:
    """Grow while settled, shrink while unsettled, then wait.

    Args:
        rule: "settle" grows if ``c <= theta_conf`` and both flags are stable, shrinks if ``c > theta_conf``
            and not both are; "noise" grows if ``c > theta_conf`` and both are stable, shrinks if neither is.
        confidence_threshold, stability_threshold: theta_conf and theta_stab, greater than 0.
        window: intervals in the median, the current one included; 0 is the full history, else at least 3.
        growth, shrink: factor of an increase, greater than 1, and of a decrease, in (0, 1).
        cooldown: intervals that a new size is kept at least, at least 0.
        gradient: "per_step", means of the steps' statistics (they fall mechanically as the batch grows), or
            "mean_gradient", statistics of the interval's mean gradient (they hardly do).
        eps: guards the divisions, greater than 0. The paper's 1e-8 distorts c once s comes near it.
        coupling: how the learning rate follows the size; the paper's is "none".
        coupling_exponent: of "power", in [0, 1].
        noise: of which gradients the coupling's noise is: "raw", "preconditioned" or "auto".
    """

    rule: Literal["settle", "noise"] = "settle"
    confidence_threshold: float = 1.0
    stability_threshold: float = 0.1
    window: int = 15
    growth: float = 1.5
    shrink: float = 0.8
    cooldown: int = 5
    gradient: Literal["per_step", "mean_gradient"] = "per_step"
    eps: float = 1e-8
    coupling: Coupling = "none"
    coupling_exponent: float = 0.5
    noise: Noise = "auto"

    lr_schedules: ClassVar[frozenset[str]] = LR_SCHEDULES

    def __post_init__(self) -> None:
        """Refuse values outside the rule's domain."""
        require_of(self)
        require(self.rule in ("settle", "noise"), "rule must be 'settle' or 'noise'", rule=self.rule)
        require(self.gradient in PREFIX, f"gradient must be one of {[*PREFIX]}", gradient=self.gradient)
        for name in ("confidence_threshold", "stability_threshold", "eps"):
            value = getattr(self, name)
            require(0 < value < math.inf, f"{name} must be greater than 0", **{name: value})
        enough = isinstance(self.window, int) and (self.window == 0 or self.window >= FIRST_DECISION)
        require(enough, "window must be 0 (full history) or at least 3", window=self.window)
        require(1 < self.growth < math.inf, "growth must be greater than 1", growth=self.growth)
        require(0 < self.shrink < 1, "shrink must lie in (0, 1)", shrink=self.shrink)
        require(self.cooldown >= 0, "cooldown must be at least 0", cooldown=self.cooldown)

    @property
    def needs(self) -> frozenset[str]:
        """The two gradient statistics, of the kind that ``gradient`` names, and what the coupling reads."""
        prefix = PREFIX[self.gradient]
        return needs_of(self) | {f"{prefix}_norm", f"{prefix}_component_variance"}

    def indicators(self, history: Sequence[Signals]) -> DebaIndicators:
        """Return c, dG and dL of the last interval; ``history`` must hold at least two."""
        prefix = PREFIX[self.gradient]
        s = read(history[-self.window :], f"{prefix}_component_variance")
        return DebaIndicators(
            c=s[-1] / (statistics.median([x for x in s if math.isfinite(x)] or [math.nan]) + self.eps),
            dg=variation(history, f"{prefix}_norm", self.eps),
            dl=variation(history, "train_loss", self.eps),
        )

    def decide(self, history: Sequence[Signals], limits: Limits) -> Decision:
        """Compare the indicators with the thresholds, unless bad signals or the cooldown say wait."""
        bad = unusable(history[-2:], (*sorted(self.needs), "train_loss"))
        if bad:
            return hold(history[-1], bad)
        wait = waiting(history, FIRST_DECISION, self.cooldown)
        wish = hold(history[-1], wait) if wait else self._compare(history, limits)
        return coupled(self, history, wish)

    def _compare(self, history: Sequence[Signals], limits: Limits) -> Decision:
        c, dg, dl = self.indicators(history)
        noisy = c > self.confidence_threshold
        stable_grad, stable_loss = dg < self.stability_threshold, dl < self.stability_threshold
        settled, settle = stable_grad and stable_loss, self.rule == "settle"
        grow = settled and noisy != settle
        step_back = (noisy and not settled) if settle else not (stable_grad or stable_loss)
        factor = self.growth if grow else self.shrink if step_back else 1
        reason = f"c={c:.3g} {'>' if noisy else '<='} {self.confidence_threshold:.3g}"
        for name, value, stable in (("dG", dg, stable_grad), ("dL", dl, stable_loss)):
            reason += f", {name}={value:.3g} {'<' if stable else '>='} {self.stability_threshold:.3g}"
        return resize(history[-1], history[-1].batch_size * factor, limits, reason)
