"""``adasearch dashboard``: stored studies in optuna-dashboard, kept up to date while a search runs.

The studies are rebuilt in memory. Files are read, nothing is locked or written, and only what changed since
the last look is read again. What a visitor might change in the dashboard is refused.
"""

import socket
import threading
import warnings
from collections.abc import Callable, Iterable, Sequence
from ipaddress import ip_address
from socketserver import ThreadingMixIn
from typing import Any
from urllib.parse import urlsplit
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from optuna.distributions import BaseDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.storages import InMemoryStorage

from adasearch.callbacks import Say, say_nothing
from adasearch.counts import count, headed
from adasearch.errors import AdasearchError, InputError, unknown
from adasearch.records import StudyRecord, TrialRecord
from adasearch.spaces.optuna_trials import (
    STATE_OF_STATUS,
    distributions_of,
    frozen_trial,
    new_study,
    objectives,
)
from adasearch.store.store import Store

__all__ = ["Mirror", "dashboard"]

REFRESH_SECONDS = 3.0

App = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
"""A WSGI application."""


class Mirror:
    """Stored studies in an Optuna storage in memory.

    Raises:
        InputError: an unknown study; None stands for all, those that are yet to come, too.
    """

    def __init__(self, store: Store, studies: Sequence[str] | None = None) -> None:
        self.storage = InMemoryStorage()
        self._store = store
        self._wanted = studies
        self._studies: dict[str, _MirroredStudy] = {}
        known = [study.study for study in store.studies()]
        for name in studies or ():
            if name not in known:
                raise unknown("study", name, known)
        self.refresh()

    @property
    def studies(self) -> int:
        """How many studies there are."""
        return len(self._studies)

    def refresh(self) -> None:
        """Take in what was stored since the last time.

        Raises:
            AdasearchError: the folder cannot be read.
        """
        for study in self._store.studies():
            if self._wanted is not None and study.study not in self._wanted:
                continue
            if study.study not in self._studies:
                self._studies[study.study] = _MirroredStudy(study, self.storage)
            self._studies[study.study].refresh(self._store)


class _MirroredStudy:
    def __init__(self, study: StudyRecord, storage: InMemoryStorage) -> None:
        self._record = study
        self._storage = storage
        self._distributions: dict[str, BaseDistribution] = distributions_of(study)
        self._study = new_study(storage=storage, name=study.study)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            self._study.set_metric_names(["validation error", f"seconds ({study.clock} clock)"])
        for name in ("architecture", "scale", "scheduler", "dataset", "sampler", "stopper"):
            self._study.set_user_attr(name, getattr(study, name))
        self._numbers: dict[str, int] = {}  # Optuna's, by trial id; ours, unless a trial's file is missing
        self._running: set[str] = set()
        self._seen: object = None

    def refresh(self, store: Store) -> None:
        seen = store.stamp(self._record.study)
        if seen == self._seen:
            return
        for trial in store.trials(self._record.study):
            if trial.phase == "search":
                self._take(trial)
        self._seen = seen

    def _take(self, trial: TrialRecord) -> None:
        if trial.trial_id not in self._numbers:
            told = _attributes(trial, self._record.sequence_length)
            frozen = frozen_trial(trial, self._distributions, self._record.clock, told)
            self._numbers[trial.trial_id] = len(self._numbers)
            self._study.add_trial(frozen)
            if trial.status == "running":
                self._running.add(trial.trial_id)
        elif trial.trial_id in self._running and trial.status != "running":
            number = self._numbers[trial.trial_id]
            study_id = self._storage.get_study_id_from_name(self._record.study)
            optuna_id = self._storage.get_trial_id_from_study_id_trial_number(study_id, number)
            for name, value in _attributes(trial, self._record.sequence_length).items():
                self._storage.set_trial_user_attr(optuna_id, name, value)
            values = objectives(trial, self._record.clock) if trial.status == "complete" else None
            self._study.tell(number, values, state=STATE_OF_STATUS[trial.status])
            self._running.remove(trial.trial_id)


def _attributes(trial: TrialRecord, sequence_length: int | None) -> dict[str, object]:
    """Return what the dashboard shows of a trial beside its parameters, values and state."""
    sizes = {"mean batch size": trial.mean_batch_size, "final batch size": trial.final_batch_size}
    found = {
        "trial_id": trial.trial_id,
        "status": trial.status,
        "seed": trial.seed,
        "error": trial.error,
        "epochs": trial.epochs or None,
        "changes of batch size": trial.adaptations if trial.ended_at else None,
        **{
            headed(name, [sequence_length]): None if each is None else count(each, sequence_length)
            for name, each in sizes.items()
        },
    }
    return {name: value for name, value in found.items() if value is not None}


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


def dashboard(
    store: Store,
    *,
    studies: Sequence[str] | None = None,
    host: str = "127.0.0.1",
    port: int = 8080,
    say: Say = say_nothing,
) -> None:
    """Show stored studies at ``http://host:port/`` until Ctrl-C; port 0 takes a free one.

    ``say`` is told the address, and what cannot be read.

    Raises:
        InputError: optuna-dashboard is missing, an unknown study, or no such host.
        AdasearchError: the port is in use, or the folder cannot be read.
    """
    try:
        from optuna_dashboard import wsgi
    except ImportError as error:
        raise InputError(
            f"the dashboard needs optuna-dashboard: pip install 'adasearch[dashboard]' ({error})"
        ) from error
    mirror = Mirror(store, studies)
    server = _listening(host, port, own_hosts_only(_read_only(wsgi(mirror.storage)), host))
    over = threading.Event()
    watcher = threading.Thread(target=_watch, args=(mirror, over, say), daemon=True)
    with server:
        address = f"http://{host}:{server.server_port}/"
        say(f"{mirror.studies} studies of {store.name} at {address} (Ctrl-C ends it)")
        watcher.start()
        try:
            server.serve_forever()
        finally:
            over.set()
            watcher.join()


def _listening(host: str, port: int, app: App) -> WSGIServer:
    try:
        return make_server(host, port, app, server_class=_Server, handler_class=_Quiet)
    except OSError as error:
        reason = error.strerror or error
        raise AdasearchError(
            f"cannot listen on {host}, port {port}: {reason}; see --port and --host"
        ) from error


def own_hosts_only(app: App, host: str) -> App:
    """Refuse requests to names other than the server's own, at whatever port a tunnel gives it.

    A page of somebody else whose own name has come to mean this machine would read the studies otherwise.
    Where the server listens on all interfaces, any address and this machine's names are its own.
    """
    own = {"localhost", "127.0.0.1", "::1", host.strip("[]").lower()}
    everywhere = host in ("", "0.0.0.0", "::")
    if everywhere:
        own |= {name.lower() for name in (socket.gethostname(), socket.getfqdn())}

    def guarded(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        named = str(environ.get("HTTP_HOST", ""))
        try:
            asked = (urlsplit(f"//{named}").hostname or "") if "@" not in named else ""
        except ValueError:
            asked = ""
        if asked in own or (everywhere and _is_address(asked)):
            return app(environ, start_response)
        start_response("421 Misdirected Request", [("Content-Type", "application/json")])
        return [b'{"reason": "this is not a name of the dashboard; see --host"}']

    return guarded


def _is_address(text: str) -> bool:
    try:
        return bool(ip_address(text))
    except ValueError:
        return False


def _read_only(app: App) -> App:
    """Refuse whatever would change the copy in memory: it would look like the stored studies, and is not."""

    def guarded(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] in ("GET", "HEAD"):
            return app(environ, start_response)
        start_response(
            "405 Method Not Allowed", [("Content-Type", "application/json"), ("Allow", "GET, HEAD")]
        )
        return [b'{"reason": "the stored studies are shown, not changed"}']

    return guarded


def _watch(mirror: Mirror, over: threading.Event, say: Say) -> None:
    told = ""
    while not over.wait(REFRESH_SECONDS):
        try:
            mirror.refresh()
            told = ""
        except (AdasearchError, KeyError, ValueError) as error:  # a row of another making, too
            if str(error) != told:
                told = str(error)
                say(f"cannot read what is new: {told}")
