"""``adasearch advise``: does a changing batch pay here? An answer for the price of a few trainings.

The cheap comes first: the profiles, what they say that any schedule can save on this device, and the constant
batch. Where that leaves nothing to gain it stops, unless the learning rate is held to the end, under which a
batch that grows late lowers the error. Else it derives up to three schedules: where that saves time the path
of least cost by the noise scale, or along the critical batch where that was measured; ``lr_tail``, which
follows the learning rate; and where that path paid DEBA with the thresholds that follow it. It trains each
once, and confirms the best of those that beat the tuned constant batch, looking after every few seeds
(:mod:`adasearch.analysis.sequential`). The same command goes on.
"""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from rich.console import Console

from adasearch.analysis.ceilings import best_path, ceilings_of, noise_of
from adasearch.analysis.enough import hardly_learnt
from adasearch.analysis.gather import Scope, gather
from adasearch.analysis.selection import pick_trials
from adasearch.analysis.sequential import answer, level_at, looks
from adasearch.commands._advice import Advice
from adasearch.commands._advise_studies import constant_study, critical_sizes, studies_of
from adasearch.commands._confirm import confirm
from adasearch.commands._derived import WORTH, Rank, constant_points, derived_params, rank_of
from adasearch.commands._profile import ProfileWish, profile
from adasearch.commands._search import search
from adasearch.errors import InputError
from adasearch.io.progress import StepDisplay, say
from adasearch.objective import is_fraction, shown
from adasearch.profiles.profile import SpeedProfile, StabilityProfile
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
NOTHING = f"no schedule tried was {WORTH:.0%} faster at an equal error, or better in an equal time"
HELD = "where a batch that grows late can lower the error (a rate that decays may be worth more)"


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
        self._request, self._constant_study, self._runtime = request, constant, runtime
        self._results, self._console, self._seeds = results, console, seeds
        self._network = request.networks[0]
        self._profiled = 0.0  # trainings that the profiles took
        self._length = constant.record.sequence_length

    def found(self) -> Advice:
        """Take the steps as far as they are needed."""
        study = self._constant_study
        steady, speed = self._profiles()
        critical = critical_sizes(self._results, steady.setting)
        known = ceilings_of(speed.curve, steady, critical)
        if known is None:
            self._say("the noise scale could not be measured, so that only trainings can tell")
        else:
            for line in known.said():
                self._say(line)
            if known.path < WORTH and steady.params.get("train/lr_schedule") != "constant":
                because = f"by {known.source} no schedule saves {WORTH:.0%} of the seconds on this device"
                return self._end(False, because, None, known.batch.best)
            if known.path < WORTH:
                self._say(f"its learning rate is held to the end, {HELD}")
        points: list[Params] = [{}]
        if known is not None:
            limits = study.record.limits
            points = constant_points(study.train_space, limits, steady.params, known.batch.best)
        reference = self._constant(points)
        if reference is None:
            return self._end(None, "no training at a constant batch came to its end", None)
        error, objective = reference.known_error, reference.objective
        if is_fraction(objective) and hardly_learnt([error]):
            because = (
                f"the best constant batch ended at {shown(error, objective)}, too little learnt to compare"
            )
            return self._end(None, because, reference)
        better = self._schedules(reference, steady, speed, critical)
        if not better:
            return self._end(False, NOTHING, reference)
        return self._confirmed(min(better, key=better.__getitem__), reference)

    def _profiles(self) -> tuple[StabilityProfile, SpeedProfile]:
        """Return the network's profiles: one run of the whole length, and the seconds of a step."""
        record = self._constant_study.record  # of the same length as what is trained
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

    def _constant(self, points: Sequence[Params]) -> TrialRecord | None:
        """Train at constant batches; return the tuned constant trial."""
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
        critical: Sequence[int],
    ) -> dict[str, Rank]:
        """Try the schedules that the profiles suggest; return the better ones' studies, with their rank.

        DEBA comes last, and not at all where the ramp whose path it is to follow is no better.
        """
        store = Store(self._results)
        study = store.study(reference.study)
        assert study is not None
        noise = critical or noise_of(steady)
        path = critical or best_path(speed.curve, noise)
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
        found = gather(Store(self._results), Scope(studies=[study], force=True)).evidence
        row = next((each for each in found if each.role == "candidate"), None)
        pairs = 0 if row is None else min(row.pairs, self._seeds)
        level = level_at(next(each for each in looks(self._seeds) if each >= pairs), self._seeds)
        shown = answer(row.paired, level, give_up=True) if row and row.paired else None
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
        modelled: int | None = None,
        *,
        study: str | None = None,
    ) -> Advice:
        """Tell the answer; the constant batch is the ``reference``'s, or one ``modelled`` and not trained."""
        trained = {} if reference is None else reference.params
        advice = Advice(
            architecture=self._network,
            pays=pays,
            because=because,
            batch_size=modelled if reference is None else int(trained["train/batch_size"]),
            lr=float(trained["train/lr"]) if "train/lr" in trained else None,
            study=study,
            trainings=self._spent(),
        )
        for line in advice.said(self._length, self._results, trained=reference is not None):
            self._say(line)
        return advice

    def _search(self, request: "Request", *, trials: int, points: Sequence[Params] | None) -> None:
        runtime = replace(self._runtime, trials=trials)
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
        return self._profiled + sum(trial.examples_seen / budgets[trial.study] for trial in trials)

    def _say(self, text: str) -> None:
        say(self._console, f"{self._network}: {text}")
