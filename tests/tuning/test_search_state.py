import pickle
import random
import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from adasearch.data.spec import DataSpec
from adasearch.errors import AdasearchError, StoreError
from adasearch.profiles.modelled_time import SpeedCurve
from adasearch.records import IntervalRecord, StudyRecord, TrialRecord
from adasearch.spaces.space import load_space
from adasearch.store import Store
from adasearch.training.task import Outcome
from adasearch.tuning.mailbox import Delivery
from adasearch.tuning.optuna_source import OptunaSource
from adasearch.tuning.place import Place
from adasearch.tuning.search_state import Listeners, SearchState
from adasearch.tuning.stopper import RECALLED
from adasearch.tuning.trial_source import TrialPlan
from tests.conftest import HandClock
from tests.rows import STUDY, at_marks, interval_at, study_of, trial_of

pytestmark = pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")

DONE = Outcome(status="complete", peak_memory_bytes=123)
Point = tuple[float, float]
NOTHING = Delivery(records=(), outcome=None)


class Silent:
    """Hears nothing."""

    def started(self, trial: TrialRecord) -> None: ...

    def progressed(self, trial: TrialRecord, record: IntervalRecord) -> None: ...

    def interrupted(self) -> None: ...

    def restarted(self, trial: TrialRecord) -> None: ...

    def noted(self, trial: TrialRecord, text: str) -> None: ...

    def ended(self, trial: TrialRecord) -> None: ...


class Listener:
    """Notes what it hears, and what the store says of that trial at that moment."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.heard: list[tuple[str, str, str | None]] = []

    def note(self, what: str, trial: TrialRecord) -> None:
        stored: dict[str, str] = {}
        with suppress(AdasearchError):  # where a test put something in the way
            stored = {each.trial_id: each.status for each in self.store.trials(trial.study)}
        self.heard.append((what, trial.trial_id, stored.get(trial.trial_id)))

    def started(self, trial: TrialRecord) -> None:
        self.note("started", trial)

    def progressed(self, trial: TrialRecord, record: IntervalRecord) -> None:
        self.note("progressed", trial)

    def interrupted(self) -> None:
        self.heard.append(("interrupted", "", None))

    def restarted(self, trial: TrialRecord) -> None:
        self.note("restarted", trial)

    def noted(self, trial: TrialRecord, text: str) -> None:
        self.note(text, trial)

    def ended(self, trial: TrialRecord) -> None:
        self.note("ended", trial)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "results"))


@pytest.fixture
def listener(store: Store) -> Listener:
    return Listener(store)


def proposals(
    store: Store, study: StudyRecord = STUDY, trials: int = 10, curve: SpeedCurve | None = None
) -> OptunaSource:
    """A study's proposals as a search that begins now would have them."""
    plan = TrialPlan(
        study=study,
        data=DataSpec(source="digits"),
        trials=trials,
        stored=store.trials(study.study),
        intervals=store.intervals(study.study),
        recall=partial(store.columns, study.study, RECALLED),
        curve=curve,
    )
    return OptunaSource(
        plan, load_space("architectures", "resnet18"), load_space("schedulers", study.scheduler)
    )


@pytest.fixture
def state(store: Store, listener: Listener) -> SearchState:
    return SearchState([proposals(store)], store, listener, Place(store))


def deliver(*records: IntervalRecord, outcome: Outcome | None = None) -> Delivery:
    return Delivery(records=records, outcome=outcome)


def stored_of(store: Store, number: int = 0) -> TrialRecord:
    return next(trial for trial in store.trials(STUDY.study) if trial.number == number)


# --- what is on disk when ---------------------------------------------------------------------------


def test_row_says_running_before_the_trial_begins(
    state: SearchState, store: Store, listener: Listener
) -> None:
    live = state.begin("tune 0")
    assert live is not None
    assert store.trials(STUDY.study) == [live.record]
    assert listener.heard == [("started", live.record.trial_id, "running")]


def test_row_says_running_until_the_trial_is_closed(state: SearchState, store: Store) -> None:
    state.begin("tune 0")
    assert state.on_delivery("tune 0", deliver(interval_at(0)))
    assert state.on_delivery("tune 0", deliver(interval_at(1, val_error=0.2), outcome=DONE))
    assert stored_of(store).status == "running"


def test_intervals_are_on_disk_before_the_row_says_that_the_trial_ended(
    state: SearchState, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    state.begin("tune 0")
    state.on_delivery("tune 0", deliver(interval_at(0, val_error=0.2), outcome=DONE))
    write, seen = store.write_trial, []

    def look_first(trial: TrialRecord) -> None:
        seen.append((trial.status, len(store.intervals(STUDY.study)[trial.trial_id])))
        write(trial)

    monkeypatch.setattr(store, "write_trial", look_first)
    state.close("tune 0")
    assert seen == [("complete", 1)]


def test_complete_trial_has_its_sums_its_intervals_and_an_end(
    state: SearchState, store: Store, listener: Listener
) -> None:
    state.begin("tune 0")
    records = [interval_at(0, val_error=0.3, action="grow"), interval_at(1, val_error=0.2)]
    state.on_delivery("tune 0", deliver(*records, outcome=DONE))
    state.close("tune 0")
    trial = stored_of(store)
    assert (trial.status, trial.val_error, trial.train_seconds, trial.adaptations) == (
        "complete",
        0.2,
        2.0,
        1,
    )
    assert (trial.peak_memory_bytes, trial.error) == (123, None)
    assert trial.ended_at is not None
    assert trial.ended_at >= trial.started_at
    assert store.intervals(STUDY.study) == {trial.trial_id: records}
    assert [what for what, _, _ in listener.heard] == ["started", "progressed", "progressed", "ended"]
    assert listener.heard[-1][2] == "complete"


def test_trial_closed_without_an_outcome_was_stopped_early(state: SearchState, store: Store) -> None:
    state.begin("tune 0")
    state.on_delivery("tune 0", deliver(interval_at(0, val_error=0.2)))
    state.close("tune 0")
    assert (stored_of(store).status, stored_of(store).val_error) == ("pruned", 0.2)
    assert len(store.intervals(STUDY.study)) == 1


def test_trial_that_failed_on_its_workers_keeps_error_and_intervals(state: SearchState, store: Store) -> None:
    state.begin("tune 0")
    failed = Outcome(status="failed", error="train_loss is nan")
    state.on_delivery("tune 0", deliver(interval_at(0), outcome=failed))
    state.close("tune 0")
    assert (stored_of(store).status, stored_of(store).error) == ("failed", "train_loss is nan")
    assert len(store.intervals(STUDY.study)) == 1


def test_traceback_of_a_failed_trial_lies_beside_it_and_its_error_says_where(
    state: SearchState, store: Store
) -> None:
    state.begin("tune 0")
    outcome = Outcome(status="failed", error="ValueError: no", cause="raised", traceback="Traceback ...")
    state.on_delivery("tune 0", deliver(interval_at(0), outcome=outcome))
    state.close("tune 0")
    trial = stored_of(store)
    path = f"{STUDY.study}/errors/{trial.trial_id}.txt"
    assert (trial.error, trial.cause) == (f"ValueError: no; traceback: {path}", "raised")
    assert Path(store.name, path).read_text() == "Traceback ..."


def test_trials_of_a_study_run_in_passes_of_one_size(
    state: SearchState, store: Store, listener: Listener
) -> None:
    """BatchNorm sees one pass at a time, so the size that the first trial found holds for all."""
    tasks = []
    for name in ("tune 0", "tune 1"):
        state.begin(name)
        tasks.append(state.task(name))
        state.on_delivery(name, deliver(interval_at(0)))
    assert [task.config.device_batch for task in tasks if task] == [None, 512]
    small = replace(interval_at(1), device_batch=128)
    state.on_delivery("tune 1", deliver(small))
    heard = [what for what, _, _ in listener.heard]
    assert "passes of 128 examples, not 512, which did not fit into memory" in heard
    state.begin("tune 2")
    task = state.task("tune 2")
    assert task is not None
    assert task.config.device_batch == 128


def test_what_workers_say_of_a_trial_is_handed_on(state: SearchState, listener: Listener) -> None:
    state.begin("tune 0")
    state.on_delivery("tune 0", replace(NOTHING, notes=("checkpoint 00000002.pt is passed over",)))
    assert listener.heard[-1][0] == "checkpoint 00000002.pt is passed over"


LOST = Outcome(status="failed", error="its worker died in each of 2 attempts", cause="lost")


def test_trial_that_failed_before_its_first_interval_is_a_row_alone(state: SearchState, store: Store) -> None:
    state.begin("tune 0")
    state.on_delivery("tune 0", deliver(outcome=LOST))
    state.close("tune 0")
    trial = stored_of(store)
    assert (trial.status, trial.error, trial.cause) == ("failed", LOST.error, "lost")
    assert store.intervals(STUDY.study) == {}


def test_complete_trial_that_was_never_evaluated_is_failed(state: SearchState, store: Store) -> None:
    state.begin("tune 0")
    state.on_delivery("tune 0", deliver(interval_at(0), outcome=DONE))
    state.close("tune 0")
    assert stored_of(store).status == "failed"


# --- what is no fault of a trial ----------------------------------------------------------------------


def test_trial_whose_slot_died_stays_open_and_its_checkpoint_with_it(
    state: SearchState, store: Store, listener: Listener
) -> None:
    live = state.begin("tune 0")
    assert live is not None
    file = checkpoint_of(store, live.record)
    state.close("tune 0", lost="the slot's process died")
    assert stored_of(store).status == "running"
    assert file.exists()
    assert listener.heard[-1][0] == "left open, for no reason of its own: the slot's process died"
    assert not state.over
    with pytest.raises(StoreError, match=r"1 trial\(s\) are left open, .* \(the slot's process died\)"):
        state.check_whole()


def test_trial_whose_slot_was_killed_for_memory_is_failed(state: SearchState, store: Store) -> None:
    state.begin("tune 0")
    state.close("tune 0", lost="the trial's process failed: OutOfMemoryError", for_memory=True)
    trial = stored_of(store)
    assert (trial.status, trial.cause) == ("failed", "lost")
    assert trial.error == "the trial's process failed: OutOfMemoryError"


def test_two_trials_in_a_row_that_are_lost_for_no_reason_of_theirs_end_the_search(
    state: SearchState, store: Store
) -> None:
    state.begin("tune 0")
    state.close("tune 0", lost="it died")
    state.begin("tune 1")
    state.close("tune 1")  # stopped early: the place is sound
    for tune_id in ("tune 2", "tune 3"):
        assert not state.over
        state.begin(tune_id)
        state.on_delivery(tune_id, deliver(outcome=replace(LOST, outside="no workers could be started")))
        state.close(tune_id)
    assert state.over
    assert [stored_of(store, number).status for number in range(4)] == ["running", "pruned", *["running"] * 2]
    with pytest.raises(StoreError, match=r"2 trials in a row .* \(no workers could be started\); they stay"):
        state.check_whole()


def test_workers_that_died_with_their_node_are_no_fault_of_the_trial(
    store: Store, listener: Listener
) -> None:
    nodes = [2]
    place = Place(store, nodes=lambda: nodes[0])
    state = SearchState([proposals(store)], store, listener, place)
    for number, (now, status) in enumerate([(1, "running"), (1, "failed"), (2, "failed"), (1, "running")]):
        state.begin(f"tune {number}")
        nodes[0] = now
        state.on_delivery(f"tune {number}", deliver(outcome=LOST))
        state.close(f"tune {number}")
        assert stored_of(store, number).status == status


def test_trial_that_raised_on_a_full_disk_of_its_own_is_failed_as_before(
    state: SearchState, store: Store
) -> None:
    state.begin("tune 0")
    raised = Outcome(status="failed", error="OSError: No space left on device", cause="raised")
    state.on_delivery("tune 0", deliver(outcome=raised))
    state.close("tune 0")
    assert stored_of(store).status == "failed"


@pytest.mark.parametrize(
    "vanish", ["results renamed", "results made anew", "Ray's files removed", "lock removed"]
)
def test_search_ends_within_seconds_once_its_folder_is_no_longer_the_one_it_began_in(
    vanish: str, store: Store, listener: Listener, tmp_path: Path
) -> None:
    results, clock = tmp_path / "results", HandClock()
    storage = tmp_path / "ray" / "0123456789ab"
    storage.mkdir(parents=True)
    with store.locks.hold(STUDY.study):
        place = Place(store, str(storage), clock=clock)
        state = SearchState([proposals(store)], store, listener, place)
        state.begin("tune 0")
        clock.now += 60
        assert not state.over
        if vanish == "Ray's files removed":
            shutil.rmtree(storage.parent)
        elif vanish == "lock removed":
            (results / STUDY.study / ".lock").unlink()
        else:
            results.rename(tmp_path / "elsewhere")
        if vanish == "results made anew":
            (results / STUDY.study).mkdir(parents=True)
            (results / STUDY.study / ".lock").touch()
        made = sorted(results.rglob("*"))
        clock.now += 10
        assert state.over
        state.on_delivery("tune 0", deliver(interval_at(0, val_error=0.2), outcome=DONE))
        state.close("tune 0")
        assert sorted(results.rglob("*")) == made
        with pytest.raises(StoreError, match=r"removed or renamed|is another file"):
            state.check_whole()


def test_write_that_fails_as_its_folder_vanishes_tells_that(
    store: Store, listener: Listener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with store.locks.hold(STUDY.study):
        state = SearchState([proposals(store)], store, listener, Place(store))

        def vanish(trial: TrialRecord) -> None:
            (tmp_path / "results").rename(tmp_path / "elsewhere")
            raise StoreError("cannot write a row: No such file or directory")

        monkeypatch.setattr(store, "write_trial", vanish)
        state.begin("tune 0")
        with pytest.raises(StoreError, match="results was removed or renamed"):
            state.check_whole()


# --- deliveries -------------------------------------------------------------------------------------


def test_deliveries_that_come_twice_count_once(state: SearchState, store: Store, listener: Listener) -> None:
    state.begin("tune 0")
    first, second = interval_at(0), interval_at(1, val_error=0.2)
    last = deliver(second, outcome=DONE)
    for delivery in (deliver(first), deliver(first), deliver(first, second), last, last):
        assert state.on_delivery("tune 0", delivery)
    for _ in range(2):
        state.close("tune 0")
    assert store.intervals(STUDY.study) == {stored_of(store).trial_id: [first, second]}
    assert [what for what, _, _ in listener.heard] == ["started", "progressed", "progressed", "ended"]


def test_records_carry_modelled_seconds_where_the_study_has_a_profile(
    store: Store, listener: Listener
) -> None:
    curve = SpeedCurve(sizes=(16, 64), step_seconds=(1.0, 4.0), measure_seconds={})
    state = SearchState([proposals(store, curve=curve)], store, listener, Place(store))
    state.begin("tune 0")
    first, second = interval_at(0), interval_at(1, val_error=0.2)
    for delivery in (deliver(first), deliver(first, second), deliver(outcome=DONE)):  # the first one twice
        assert state.on_delivery("tune 0", delivery)
    state.close("tune 0")
    assert [what for what, _, _ in listener.heard] == ["started", "progressed", "progressed", "ended"]
    steps = [first.signals.step, second.signals.step - first.signals.step]
    rows = store.intervals(STUDY.study)[stored_of(store).trial_id]
    assert [row.modelled_seconds for row in rows] == [2.0 * count for count in steps]
    assert stored_of(store).modelled_seconds == 2.0 * sum(steps)
    assert stored_of(store).train_seconds == 2.0


def test_worker_that_went_on_from_a_checkpoint_replaces_what_it_did_again(
    state: SearchState, store: Store
) -> None:
    live = state.begin("tune 0")
    assert live is not None
    first, second, third = (interval_at(number) for number in range(3))
    again = replace(second, train_seconds=7.0)
    state.on_delivery("tune 0", deliver(first, second, third, again))
    assert live.intervals == [first, again]
    state.on_delivery("tune 0", deliver(first, second, third, again))
    assert live.intervals == [first, again]
    state.on_delivery("tune 0", deliver(interval_at(2, val_error=0.2), outcome=DONE))
    state.close("tune 0")
    assert [record.train_seconds for record in store.intervals(STUDY.study)[live.record.trial_id]] == [
        first.train_seconds,
        7.0,
        third.train_seconds,
    ]


def test_intervals_up_to_a_checkpoint_are_on_disk_while_the_trial_runs(
    state: SearchState, store: Store
) -> None:
    live = state.begin("tune 0")
    assert live is not None
    trial_id = live.record.trial_id
    state.on_delivery("tune 0", deliver(interval_at(0), replace(interval_at(1), checkpoint_seconds=0.1)))
    state.on_delivery("tune 0", deliver(interval_at(2)))
    assert [record.signals.interval for record in store.intervals(STUDY.study)[trial_id]] == [0, 1]
    assert stored_of(store).status == "running"


def test_trial_that_was_running_goes_on_with_its_stored_intervals(
    state: SearchState, store: Store, listener: Listener
) -> None:
    live = state.begin("tune 0")
    assert live is not None
    records = [interval_at(0), replace(interval_at(1), checkpoint_seconds=0.1)]
    state.on_delivery("tune 0", deliver(*records))
    checkpoints = Path(store.checkpoint_folder(live.record))
    checkpoints.mkdir(parents=True)

    resumed = SearchState([proposals(store)], store, listener, Place(store))
    again = resumed.begin("tune 0")
    assert again is not None
    assert again.record.trial_id == live.record.trial_id
    task = resumed.task("tune 0")
    assert task is not None
    assert task.stored == 2
    assert task.checkpoints == str(checkpoints)
    resumed.on_delivery("tune 0", deliver(interval_at(2, val_error=0.2), outcome=DONE))
    resumed.close("tune 0")
    stored = store.intervals(STUDY.study)[live.record.trial_id]
    assert [record.signals.interval for record in stored] == [0, 1, 2]
    assert stored_of(store).status == "complete"
    assert not checkpoints.exists()


def test_what_is_not_running_is_let_be(state: SearchState, listener: Listener) -> None:
    assert state.on_delivery("never begun", deliver(interval_at(0), outcome=DONE))
    state.close("never begun", lost="too late")
    assert not listener.heard


def test_new_workers_of_a_trial_are_told_of(state: SearchState, listener: Listener) -> None:
    for number, tune_id in enumerate(("tune 0", "tune 1")):
        state.begin(tune_id)
        state.on_delivery(tune_id, NOTHING)
        for group in ("first", "first"):  # the same workers for both trials
            state.on_delivery(tune_id, replace(deliver(interval_at(0)), group=group))
        assert [what for what, *_ in listener.heard].count("restarted") == number
        state.on_delivery(tune_id, replace(NOTHING, group=f"next {tune_id}"))
        assert listener.heard[-1][0] == "restarted"


def test_silence_changes_nothing(state: SearchState, listener: Listener) -> None:
    state.begin("tune 0")
    assert state.on_delivery("tune 0", NOTHING)
    assert [what for what, _, _ in listener.heard] == ["started"]


def test_trial_whose_checkpoint_could_not_be_written_stays_open_and_ends_the_search(
    state: SearchState, store: Store, listener: Listener
) -> None:
    """It is the store's fault; what is stored of the trial is there for the next search."""
    live = state.begin("tune 0")
    assert live is not None
    state.on_delivery("tune 0", deliver(replace(interval_at(0), checkpoint_seconds=0.1)))
    unwritten = Outcome(status="failed", unwritten="cannot write there: no room")
    state.on_delivery("tune 0", deliver(outcome=unwritten))
    state.close("tune 0")
    assert state.over
    assert str(state.broken) == "cannot write there: no room"
    assert stored_of(store).status == "running"
    assert len(store.intervals(STUDY.study)[live.record.trial_id]) == 1
    assert [what for what, _, _ in listener.heard] == ["started", "progressed"]


def fill_rung(state: SearchState, points: Sequence[Point]) -> list[bool]:
    """Run a trial per point up to the first rung; return which go on."""
    goes_on = []
    for n, point in enumerate(points):
        assert state.begin(f"fill {n}") is not None
        goes_on.append(state.on_delivery(f"fill {n}", deliver(*at_marks(point))))
        state.close(f"fill {n}")
    return goes_on


def test_trial_that_falls_behind_is_told_to_stop(state: SearchState) -> None:
    assert fill_rung(state, [(0.1, 1.0)] * 3 + [(0.2, 2.0), (0.1, 1.0)]) == [True, True, True, False, True]


def test_trial_that_has_an_outcome_is_not_stopped_at_a_rung(state: SearchState, store: Store) -> None:
    fill_rung(state, [(0.1, 1.0)] * 3)
    state.begin("tune 3")
    assert state.on_delivery("tune 3", deliver(*at_marks((0.9, 9.0)), outcome=DONE))
    state.close("tune 3")
    assert stored_of(store, 3).status == "complete"


def test_studies_have_rungs_of_their_own(store: Store, listener: Listener) -> None:
    both = [proposals(store), proposals(store, study_of("constant"))]
    state = SearchState(both, store, listener, Place(store))
    goes_on = {}
    for n in range(8):
        live = state.begin(f"tune {n}")
        assert live is not None
        good = live.record.scheduler == "deba"
        point = (0.1, 1.0) if good else (0.9, 9.0)
        goes_on[f"tune {n}"] = state.on_delivery(f"tune {n}", deliver(*at_marks(point)))
    assert all(goes_on.values())


# --- the order of trials ----------------------------------------------------------------------------


def test_studies_take_turns(store: Store, listener: Listener) -> None:
    studies = [study_of("constant"), study_of("deba"), study_of("adabatch")]
    state = SearchState(
        [proposals(store, study, trials=3) for study in studies], store, listener, Place(store)
    )
    begun = [state.begin(f"tune {n}") for n in range(10)]
    assert [live.record.scheduler for live in begun if live] == ["constant", "deba", "adabatch"] * 3
    assert begun[9] is None


def test_study_that_is_behind_catches_up_first(store: Store, listener: Listener) -> None:
    ahead, behind = study_of("constant"), study_of("deba")
    params = SearchState([proposals(store, ahead)], store, listener, Place(store)).begin("tune")
    assert params is not None
    for n in range(2):
        store.write_trial(trial_of(ahead, n, val_error=0.1, seconds=1, params=params.record.params))
    state = SearchState(
        [proposals(store, ahead, 4), proposals(store, behind, 4)], store, listener, Place(store)
    )
    order = [live.record.scheduler for n in range(6) if (live := state.begin(f"tune {n}"))]
    assert order == ["deba", "deba", "constant", "deba", "constant", "deba"]


def test_all_trials_done_begins_none(store: Store, listener: Listener) -> None:
    state = SearchState([proposals(store, trials=1)], store, listener, Place(store))
    assert state.begin("tune 0") is not None
    assert state.begin("tune 1") is None
    assert not state.over


# --- the end ----------------------------------------------------------------------------------------


def test_several_that_listen_all_hear_of_an_interruption(store: Store) -> None:
    both = Listener(store), Listener(store)
    Listeners(both).interrupted()
    assert [each.heard for each in both] == [[("interrupted", "", None)]] * 2


def test_interrupted_search_begins_nothing_and_leaves_running_trials_running(
    state: SearchState, store: Store, listener: Listener
) -> None:
    state.begin("tune 0")
    state.interrupted = True
    assert state.over
    assert state.over
    assert listener.heard[1:] == [("interrupted", "", None)]  # once
    assert state.begin("tune 1") is None
    assert [trial.status for trial in store.trials(STUDY.study)] == ["running"]


def block(store: Store, tmp_path: Path, table: str) -> None:
    """Put a file where a table's folder would be."""
    folder = tmp_path / "results" / STUDY.study
    folder.mkdir(parents=True, exist_ok=True)
    (folder / table).write_text("in the way")


def test_store_that_cannot_be_written_ends_the_search(
    state: SearchState, store: Store, tmp_path: Path
) -> None:
    block(store, tmp_path, "trials")
    assert state.begin("tune 0") is not None
    assert isinstance(state.broken, AdasearchError)
    assert "cannot write" in str(state.broken)
    assert state.over
    assert state.begin("tune 1") is None


def test_trial_whose_intervals_cannot_be_written_stays_running(
    state: SearchState, store: Store, listener: Listener, tmp_path: Path
) -> None:
    live = state.begin("tune 0")
    assert live is not None
    checkpoints = Path(store.checkpoint_folder(live.record))
    checkpoints.mkdir(parents=True)
    block(store, tmp_path, "intervals")
    state.on_delivery("tune 0", deliver(interval_at(0, val_error=0.2), outcome=DONE))
    state.close("tune 0")
    assert state.broken is not None
    assert checkpoints.exists()  # it goes on from them
    assert stored_of(store).status == "running"
    assert "ended" not in [what for what, _, _ in listener.heard]


def test_state_pickles_empty(state: SearchState) -> None:
    state.begin("tune 0")
    assert isinstance(pickle.loads(pickle.dumps(state)), SearchState)


# --- going on ---------------------------------------------------------------------------------------


def judge(state: SearchState, points: Sequence[Point]) -> list[bool]:
    """Run a trial per two points, one for each rung; return what was said at each."""
    said = []
    for n in range(0, len(points), 2):
        state.begin(f"tune {n}")
        first, second = at_marks(*points[n : n + 2])
        said.append(state.on_delivery(f"tune {n}", deliver(first)))
        if said[-1]:
            said.append(state.on_delivery(f"tune {n}", deliver(second)))
        state.close(f"tune {n}")
    return said


@pytest.mark.parametrize("seed", range(3))
def test_resumed_rungs_judge_as_those_of_the_search_that_was_interrupted(store: Store, seed: int) -> None:
    rng = random.Random(seed)
    study = replace(study_of("constant"), sampler="random")
    before, after = ([(rng.random(), rng.random()) for _ in range(12)] for _ in range(2))
    live = SearchState([proposals(store, study, trials=12)], store, Silent(), Place(store))
    judge(live, before)
    resumed = SearchState([proposals(store, study, trials=12)], store, Silent(), Place(store))
    said = judge(live, after)
    assert judge(resumed, after) == said
    assert not all(said)


def test_trial_that_was_running_is_begun_again_over_its_own_row(state: SearchState, store: Store) -> None:
    first = state.begin("tune 0")
    resumed = SearchState([proposals(store)], store, Listener(store), Place(store))
    again = resumed.begin("tune 0")
    assert first is not None
    assert again is not None
    assert again.record.trial_id == first.record.trial_id
    assert again.record.params == first.record.params
    assert len(store.trials(STUDY.study)) == 1


# --- checkpoints ------------------------------------------------------------------------------------


def checkpoint_of(store: Store, trial: TrialRecord) -> Path:
    file = Path(store.checkpoint_folder(trial)) / "00000001.pt"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(b"state")
    return file


def test_checkpoints_of_an_ended_trial_go_even_if_they_come_late(state: SearchState, store: Store) -> None:
    """A worker that was stopped finishes its interval first, and may save it."""
    first = state.begin("tune 0")
    assert first is not None
    state.close("tune 0")
    late = checkpoint_of(store, first.record)
    second = state.begin("tune 1")
    assert second is not None
    before_its_record_came = checkpoint_of(store, second.record)
    state.on_delivery("tune 1", deliver(outcome=LOST))
    state.close("tune 1")
    assert not before_its_record_came.exists()
    assert not late.exists()
    last = checkpoint_of(store, first.record)
    state.remove_checkpoints()
    assert not last.exists()


def test_search_removes_what_a_killed_one_left_but_of_running_trials(
    state: SearchState, store: Store
) -> None:
    ended, running = state.begin("tune 0"), state.begin("tune 1")
    assert ended is not None
    assert running is not None
    state.close("tune 0")
    files = [checkpoint_of(store, live.record) for live in (ended, running)]
    SearchState([proposals(store)], store, Silent(), Place(store))
    assert [file.exists() for file in files] == [False, True]
