"""``adasearch advise``: does a changing batch pay here? An answer for the price of a few trainings.

The cheap comes first: the profiles, what they say that any schedule can save on this device, and the constant
batch. Where that leaves nothing to gain it stops. Else it derives up to three schedules: the path of least
cost by the noise scale, or along the critical batch where that was measured; ``lr_tail``, which follows the
learning rate; and where that path paid DEBA with the thresholds that follow it. It trains each once, and
confirms the fastest of those that beat the tuned constant batch, looking after every few seeds
(:mod:`adasearch.analysis.sequential`). Its studies begin with ``advise-``; the same command goes on.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from rich.console import Console

from adasearch import counts
from adasearch.analysis.ceiling_table import network_of
from adasearch.analysis.ceilings import best_path, ceilings_of, noise_of
from adasearch.analysis.gather import Scope, gather
from adasearch.analysis.selection import Pick, pick_trials
from adasearch.analysis.sequential import answer, level_at, looks
from adasearch.commands._advise_studies import check_length, studies_of
from adasearch.commands._confirm import confirm
from adasearch.commands._derived import derived_params
from adasearch.commands._profile import ProfileWish, profile
from adasearch.commands._search import search
from adasearch.errors import InputError
from adasearch.io.progress import say
from adasearch.profiles.profile import SpeedProfile, StabilityProfile
from adasearch.profiles.profile_store import ProfileStore
from adasearch.profiles.stability import PARTS
from adasearch.records import Params, StudyRecord, TrialRecord
from adasearch.runs.stability_profile import histories_of
from adasearch.runtime import Runtime
from adasearch.schedulers.registry import BASELINE
from adasearch.store.store import Store
from adasearch.studies.settings import EPOCHS, TEXT_EPOCHS

if TYPE_CHECKING:
    from adasearch.studies.request import Request

__all__ = ["Advice", "advise"]

PREFIX = "advise"
WORTH = 0.05
"""The share of the seconds below which a schedule is not worth it: times that are nearer count as equal."""
SEEDS = 12  # at most, of the last step


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """What came of it for one network.

    Args:
        architecture: the network, or the training function in place of one.
        pays: whether a changing batch pays; None where that is not clear.
        because: why, in words.
        batch_size: the constant batch that is worth taking, None where it is not known.
        study: of the schedule that pays, None without one.
        trainings: what was spent, in trainings of the whole length.
    """

    architecture: str
    pays: bool | None
    because: str
    batch_size: int | None
    study: str | None
    trainings: float


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
    return [_Advice(each, runtime, results, console, seeds).found() for each in every]


class _Advice:
    """One network's way through the steps."""

    def __init__(
        self, request: "Request", runtime: Runtime, results: str, console: Console, seeds: int
    ) -> None:
        self._request, self._runtime = request, runtime
        self._results, self._console, self._seeds = results, console, seeds
        self._network = request.networks[0]
        self._profiled = 0.0  # trainings that the profiles took
        self._length: int | None = None  # tokens of an example, of a language model

    def found(self) -> Advice:
        """Take the steps as far as they are needed."""
        check_length(self._request, self._results, accepted=self._runtime.accept_changed_code)
        steady, speed = self._profiles()
        noise = noise_of(steady)
        known = ceilings_of(speed.curve, steady)
        if known is None:
            self._say("the noise scale could not be measured, so that only trainings can tell")
        else:
            for line in known.said():
                self._say(line)
            if known.path < WORTH:
                because = f"no schedule saves more than {known.path:.1%} of the seconds, by the noise scale"
                return self._end(False, because, known.batch.best)
        reference = self._constant(steady, known.batch.best if known else None)
        if reference is None:
            return self._end(None, "no training at a constant batch came to its end", None)
        size = int(reference.params["train/batch_size"])
        faster = self._schedules(reference, steady, speed, noise)
        if not faster:
            because = f"no schedule that the profiles suggest was {WORTH:.0%} faster at an equal error"
            return self._end(False, because, size)
        return self._confirmed(min(faster, key=faster.__getitem__), size)

    def _profiles(self) -> tuple[StabilityProfile, SpeedProfile]:
        """Return the network's profiles: one run of the whole length, and the seconds of a step."""
        from adasearch.tasks.registry import kind_of  # which brings torch

        request = replace(self._request, study=None)
        if request.epochs is None and request.budget is None:
            sequences = request.sequence_length is not None
            text = (
                request.train is None
                and kind_of(request.source, self._network, sequences=sequences) == "language"
            )
            request = replace(request, epochs=TEXT_EPOCHS if text else EPOCHS)
        found = profile(
            request,
            ProfileWish(seeds=1, threads=self._runtime.cpus_per_worker),
            results=self._results,
            console=self._console,
            options=self._runtime.options,
        )
        steady, speed = found.stability[0], found.speed[0]
        self._profiled = steady.seeds * steady.intervals * steady.interval / found.budgets[0]
        self._length = steady.setting.sequence_length
        return steady, speed

    def _constant(self, steady: StabilityProfile, best: int | None) -> TrialRecord | None:
        """Train at the default batch and at the best one by the model; return the tuned constant trial."""
        size, rate = steady.batch_size, steady.params["train/lr"]
        points: list[Params] = [{}]
        if best is not None and best != size and isinstance(rate, float):
            power = 1.0 if steady.params.get("train/optimizer") == "sgd" else 0.5
            for exponent in (power, power / 2):
                lr = rate * (best / size) ** exponent
                points.append({"train/batch_size": best, "train/lr": lr})
        request = replace(self._request, schedulers=(BASELINE,))
        self._search(request, trials=len(points), points=points)
        studies, trials = self._stored()
        study = next(each for each in studies if each.scheduler == BASELINE)
        return pick_trials(studies, trials)[study.study].trial

    def _schedules(
        self, reference: TrialRecord, steady: StabilityProfile, speed: SpeedProfile, noise: Sequence[float]
    ) -> dict[str, float]:
        """Try the schedules that the profiles suggest; return the faster ones' studies, with their seconds.

        DEBA comes last, and not at all where the ramp whose path it is to follow is no faster.
        """
        store = Store(self._results)
        study = store.study(reference.study)
        assert study is not None
        measured = self._measured(steady)
        path, noise = (measured, measured) if measured else (best_path(speed.curve, noise), noise)
        history = histories_of(store, steady.profile)[0] if path and not steady.diverged else []
        params = derived_params(reference, study, path, noise, history)
        deba = params.pop("deba", None)
        faster = {each: self._tried(each, params[each]) for each in params}
        if deba is not None and faster["ramp"]:
            faster["deba"] = self._tried("deba", deba)
        return dict(found for each in faster.values() for found in each.items())

    def _tried(self, scheduler: str, params: Params) -> dict[str, float]:
        """Train a schedule once; return its study with its seconds if it is faster."""
        fixed = (*self._request.fixed, *(f"{name}={json.dumps(value)}" for name, value in params.items()))
        request = replace(self._request, schedulers=(scheduler,), fixed=fixed, baseline=False)
        self._search(request, trials=1, points=None)
        studies, trials = self._stored()
        (study,) = (each for each in studies if each.scheduler == scheduler)
        trial = _faster(pick_trials(studies, trials)[study.study], study.clock)
        return {} if trial is None else {study.study: trial.seconds(study.clock)}

    def _measured(self, steady: StabilityProfile) -> list[int]:
        """Return the sizes along a critical batch that was measured of the network; empty without one."""
        stored = ProfileStore(self._results).critical()
        own = [each for each in stored if network_of(each.setting) == network_of(steady.setting)]
        if not own:
            return []
        self._say("the schedules follow its critical batch as it was measured, not the noise scale")
        return max(own, key=lambda each: each.created_at).sizes(PARTS)

    def _confirmed(self, study: str, size: int) -> Advice:
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
            return self._end(True, "its gain over the tuned constant batch holds on fresh seeds", size, study)
        if shown is None:
            return self._end(None, f"{self._seeds} seeds do not tell", size)
        return self._end(False, "what its one training promised did not hold on fresh seeds", size)

    def _end(self, pays: bool | None, because: str, size: int | None, study: str | None = None) -> Advice:
        advice = Advice(
            architecture=self._network,
            pays=pays,
            because=because,
            batch_size=size,
            study=study,
            trainings=self._spent(),
        )
        word = {True: "a changing batch pays", False: "not worth it here", None: "not clear"}[pays]
        then = "" if size is None else f"; take a constant batch of {counts.told(size, self._length)}"
        if study:
            then = f"; 'adasearch export {study}' takes the schedule along"
        self._say(f"{word}: {because}{then} ({advice.trainings:.1f} trainings spent)")
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


def _faster(pick: Pick, clock: str) -> TrialRecord | None:
    """Return a schedule's trial if it changed the batch and saved enough of the reference's seconds.

    That is at an equal error. A search would call it "too few to say": one trial is all that it has here.
    """
    if pick.stands_in or pick.idle or pick.trial is None or pick.reference is None:
        return None
    enough = pick.trial.seconds(clock) <= (1 - WORTH) * pick.reference.seconds(clock)
    return pick.trial if enough else None
