"""``adasearch advise``: does a changing batch pay here? An answer for the price of a few trainings.

The cheap comes first: the profiles, what they say that any schedule can save on this device, and the constant
batch. It stops where nothing is to be gained, unless the learning rate is held to the end, where growing
late lowers the error. Else it trains derived schedules once each (:mod:`adasearch.commands._derived`), and
confirms the best of those that beat the tuned constant batch (:mod:`adasearch.analysis.sequential`).
"""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from rich.console import Console

from adasearch import counts
from adasearch.analysis.ceilings import Ceilings, best_path, ceilings_of, noise_of
from adasearch.analysis.enough import hardly_learnt
from adasearch.analysis.selection import pick_trials
from adasearch.commands._advice import HELD, NO_NOISE, NOTHING, UNBOUNDED, Advice
from adasearch.commands._advise_studies import confirmed_answer, constant_study, critical_profile, studies_of
from adasearch.commands._confirm import confirm
from adasearch.commands._derived import (
    WORTH,
    Rank,
    constant_ends,
    constant_points,
    derived_params,
    modelled_batch,
    points_between,
    rank_of,
)
from adasearch.commands._profile import ProfileWish, profile
from adasearch.commands._search import search
from adasearch.errors import InputError
from adasearch.io.progress import StepDisplay, say
from adasearch.objective import is_fraction, shown
from adasearch.profiles.critical import CriticalProfile
from adasearch.profiles.profile import SpeedProfile, StabilityProfile
from adasearch.profiles.stability import PARTS
from adasearch.records import Params, StudyRecord, TrialRecord
from adasearch.runs.stability_profile import histories_of
from adasearch.runtime import Runtime
from adasearch.schedulers.registry import BASELINE
from adasearch.store.store import Store

if TYPE_CHECKING:
    from adasearch.studies.request import Request, ResolvedStudy

__all__ = ["advise"]

PREFIX = "advise"
SEEDS = 12  # at most, of the last step


def advise(
    request: "Request",
    runtime: Runtime,
    *,
    results: str,
    console: Console,
    seeds: int = SEEDS,
) -> list[Advice]:
    """Say of each network of a request whether a changing batch pays, and what was spent to know.

    ``seeds`` are the most that the last step takes. Raises what :func:`adasearch.commands.search` does.

    Raises:
        InputError: bad input; nothing was written.
        AdasearchError: a step failed.
        KeyboardInterrupt: a step was interrupted; the same command goes on.
    """
    if not request.networks:
        raise InputError("give --architecture NAME (see 'list architectures') or --train MODULE:FUNCTION")
    if request.schedulers:
        raise InputError("advise derives its schedules itself; 'search --scheduler' searches one of yours")
    if request.spaces:
        raise InputError(
            f"advise derives its schedules itself, and searches no --space but got {request.spaces[0]}"
        )
    if not 4 <= seeds <= 1000:
        raise InputError(f"--seeds must lie in 4 to 1000 but got {seeds}")
    request = replace(request, study=PREFIX if request.study is None else request.study)
    each_alone = [replace(request, architectures=(name,)) for name in dict.fromkeys(request.architectures)]
    every = each_alone if request.train is None else [request]
    with StepDisplay(console) as progress:
        studies = [constant_study(each, runtime, results=results, progress=progress) for each in every]
    ways = [_Advice(*pair, runtime, results, console, seeds) for pair in zip(every, studies, strict=True)]
    return [way.found() for way in ways]


class _Advice:
    """One network's way through the steps."""

    def __init__(
        self,
        request: "Request",
        constant: "ResolvedStudy",
        runtime: Runtime,
        results: str,
        console: Console,
        seeds: int,
    ) -> None:
        self._request, self._runtime = request, runtime
        self._record, self._space = constant.record, constant.train_space
        self._limits, self._length = constant.record.limits, constant.record.sequence_length
        self._results, self._console, self._seeds = results, console, seeds
        self._network = request.networks[0]
        self._profiled = 0.0  # trainings that the profiles took
        self._taken: set[tuple[str, str]] = set()  # schedulers and phases of the steps so far

    def found(self) -> Advice:
        """Take the steps as far as they are needed."""
        steady, speed = self._profiles()
        measured = critical_profile(self._results, steady.setting)
        known = self._ceilings(steady, speed, measured)
        if known is not None and known.path < WORTH:
            if steady.params.get("train/lr_schedule") != "constant":
                because = f"by {known.source} no schedule saves {WORTH:.0%} of the seconds on this device"
                if self._request.train is not None:
                    self._say(f"whether its learning rate is held to the end is not known, {HELD}")
                return self._end(False, because, None, modelled_batch(known, steady.params))
            self._say(f"its learning rate is held to the end, {HELD}")
        reference = self._constant(known, steady.params)
        if reference is None:
            return self._end(None, "no training at a constant batch came to its end", None)
        error, objective = reference.known_error, reference.objective
        if is_fraction(objective) and hardly_learnt([error]):
            at = shown(error, objective)
            because = f"the best constant batch ended at {at}, too little learnt to compare"
            return self._end(None, because, reference)
        better = self._schedules(reference, steady, speed, measured)
        if not better:
            return self._end(False, NOTHING, reference)
        return self._confirmed(min(better, key=better.__getitem__), reference)

    def _ceilings(
        self, steady: StabilityProfile, speed: SpeedProfile, measured: CriticalProfile | None
    ) -> Ceilings | None:
        """Tell what the profiles say that any schedule can save, and the constant batch of least cost."""
        ends = constant_ends(self._space, self._limits, speed.curve)
        if ends != (speed.curve.sizes[0], speed.curve.sizes[-1]):
            low, high = (counts.told(each, self._length) for each in ends)
            self._say(f"by its search space a constant batch may be {low} to {high}")
        if measured and not measured.bounded:
            self._say(UNBOUNDED)
        critical = measured.sizes(PARTS) if measured and measured.bounded else []
        known = ceilings_of(speed.curve, steady, critical, ends=ends)
        for line in [NO_NOISE] if known is None else known.said():
            self._say(line)
        return known

    def _profiles(self) -> tuple[StabilityProfile, SpeedProfile]:
        """Return the network's profiles: one run of the whole length, and the seconds of a step."""
        record = self._record  # of the same length as what is trained
        request = replace(
            self._request,
            study=None,
            epochs=None,
            budget=f"{record.budget}ex",
            interval=f"{record.interval}ex",
            subset=record.subset,
            seed=record.seed,
        )
        found = profile(
            request,
            ProfileWish(seeds=1, threads=self._runtime.cpus_per_worker),
            results=self._results,
            console=self._console,
            options=self._runtime.options,
        )
        steady, speed = found.stability[0], found.speed[0]
        self._profiled = steady.seeds * steady.intervals * steady.interval / found.budgets[0]
        return steady, speed

    def _constant(self, known: Ceilings | None, default: Params) -> TrialRecord | None:
        """Train at constant batches; return the tuned constant trial."""
        if known is None:
            return self._tuned([{}])
        points = constant_points(self._space, self._limits, default, known.batch.best)
        reference = self._tuned(points)
        if reference is None:
            return None
        more = points_between(self._space, self._limits, default, known.batch.best, reference)
        return self._tuned([*points, *more]) if more else reference

    def _tuned(self, points: Sequence[Params]) -> TrialRecord | None:
        request = replace(self._request, schedulers=(BASELINE,))
        self._search(request, trials=len(points), points=points)
        studies, trials = self._stored()
        study = next(each for each in studies if each.scheduler == BASELINE)
        return pick_trials(studies, trials)[study.study].trial

    def _schedules(
        self,
        reference: TrialRecord,
        steady: StabilityProfile,
        speed: SpeedProfile,
        measured: CriticalProfile | None,
    ) -> dict[str, Rank]:
        """Try the schedules that the profiles suggest; return the better ones' studies, with their rank.

        DEBA comes last, and not at all where the ramp whose path it is to follow is no better.
        """
        store = Store(self._results)
        study = store.study(reference.study)
        assert study is not None
        noise: Sequence[float] = measured.sizes(PARTS) if measured else noise_of(steady)
        path = measured.sizes(PARTS) if measured else best_path(speed.curve, noise)
        history = histories_of(store, steady.profile)[0] if path and not steady.diverged else []
        params = derived_params(reference, study, path, noise, history, speed.curve)
        if "ramp" not in params:
            self._say(f"a ramp along the best path of sizes would save less than {WORTH:.0%} of the seconds")
        deba = params.pop("deba", None)
        better = {each: self._tried(each, params[each]) for each in params}
        if deba is not None and better["ramp"]:
            better["deba"] = self._tried("deba", deba)
        return dict(found for each in better.values() for found in each.items())

    def _tried(self, scheduler: str, params: Params) -> dict[str, Rank]:
        """Train a schedule once; return its study with its rank if it is better."""
        fixed = (*self._request.fixed, *(f"{name}={json.dumps(value)}" for name, value in params.items()))
        request = replace(self._request, schedulers=(scheduler,), fixed=fixed, baseline=False)
        self._search(request, trials=1, points=None)
        studies, trials = self._stored()
        (study,) = (each for each in studies if each.scheduler == scheduler)
        rank = rank_of(pick_trials(studies, trials)[study.study], study)
        return {} if rank is None else {study.study: rank}

    def _confirmed(self, study: str, reference: TrialRecord) -> Advice:
        """Check a schedule that was faster on fresh seeds against the tuned constant batch."""
        self._taken |= {(scheduler, "confirm") for scheduler, _ in self._taken}
        whole = confirm(
            self._runtime,
            results=self._results,
            console=self._console,
            studies=[study],
            seeds=self._seeds,
            controls="reference",
            until_clear=True,
            give_up=True,
        )
        if not whole:
            raise KeyboardInterrupt
        shown = confirmed_answer(Store(self._results), study, self._seeds)
        if shown == "gain":
            return self._end(
                True, "its gain over the tuned constant batch holds on fresh seeds", reference, study=study
            )
        if shown is None:
            return self._end(None, f"{self._seeds} seeds do not tell", reference)
        return self._end(False, "what its one training promised did not hold on fresh seeds", reference)

    def _end(
        self,
        pays: bool | None,
        because: str,
        reference: TrialRecord | None,
        modelled: Params | None = None,
        *,
        study: str | None = None,
    ) -> Advice:
        """Tell the answer; the constant batch is the ``reference``'s, or the ``modelled`` one."""
        params = (modelled or {}) if reference is None else reference.params
        advice = Advice(
            architecture=self._network,
            pays=pays,
            because=because,
            batch_size=int(params["train/batch_size"]) if params else None,
            lr=float(params["train/lr"]) if "train/lr" in params else None,
            study=study,
            trainings=self._spent(),
        )
        for line in advice.said(self._length, self._results, trained=reference is not None):
            self._say(line)
        return advice

    def _search(self, request: "Request", *, trials: int, points: Sequence[Params] | None) -> None:
        runtime = replace(self._runtime, trials=trials)
        self._taken |= {(scheduler, "search") for scheduler in request.schedulers}
        if not search(
            request, runtime, results=self._results, console=self._console, points=points, tables=False
        ):
            raise KeyboardInterrupt
        self._say(f"{', '.join(request.schedulers)} trained; {self._spent():.1f} trainings spent so far")

    def _stored(self) -> tuple[list[StudyRecord], list[TrialRecord]]:
        store = Store(self._results)
        own = studies_of(self._request, store)
        return own, [trial for each in own for trial in store.trials(each.study)]

    def _spent(self) -> float:
        """Return the trainings of the whole length that were made, the profile's among them."""
        studies, trials = self._stored()
        budgets = {each.study: each.budget for each in studies}
        counted = [each for each in trials if (each.scheduler, each.phase) in self._taken]
        return self._profiled + sum(trial.examples_seen / budgets[trial.study] for trial in counted)

    def _say(self, text: str) -> None:
        say(self._console, f"{self._network}: {text}")
