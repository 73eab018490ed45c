"""What a search sets for its own time, and sets back however it ends."""

import faulthandler
import logging
import os
import signal
import subprocess
import sys
import threading
from contextlib import AbstractContextManager, nullcontext
from tempfile import TemporaryDirectory

import optuna
import pytest

from adasearch.spaces.optuna_trials import new_study, quiet_optuna
from adasearch.tuning.session import (
    environment,
    faulthandler_kept,
    interrupt_deferred,
    signals_kept,
    silenced,
)

ENDS = [None, ValueError, KeyboardInterrupt, SystemExit]


def ending(end: type[BaseException] | None) -> AbstractContextManager[object]:
    return nullcontext() if end is None else pytest.raises(end)


def leave(end: type[BaseException] | None) -> None:
    if end is not None:
        raise end


@pytest.mark.parametrize("end", ENDS)
def test_environment_is_set_and_set_back(
    end: type[BaseException] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WAS_THERE", "before")
    monkeypatch.delenv("WAS_NOT", raising=False)
    monkeypatch.delenv("SET_MEANWHILE", raising=False)
    before = dict(os.environ)
    with ending(end), environment({"WAS_THERE": "now", "WAS_NOT": "now"}, kept=["SET_MEANWHILE"]):
        assert (os.environ["WAS_THERE"], os.environ["WAS_NOT"]) == ("now", "now")
        os.environ["SET_MEANWHILE"] = "by a library"
        leave(end)
    assert dict(os.environ) == before


@pytest.mark.parametrize("end", ENDS)
def test_loggers_are_silent_and_tell_again(end: type[BaseException] | None) -> None:
    loud, inheriting = logging.getLogger("adasearch.tests.loud"), logging.getLogger("adasearch.tests.loud.x")
    loud.setLevel(logging.DEBUG)
    with ending(end), silenced([loud.name, inheriting.name]):
        assert not loud.isEnabledFor(logging.ERROR)
        assert not inheriting.isEnabledFor(logging.ERROR)
        leave(end)
    assert (loud.level, inheriting.level) == (logging.DEBUG, logging.NOTSET)


@pytest.mark.parametrize("end", ENDS)
def test_signals_do_again_what_they_did(end: type[BaseException] | None) -> None:
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGUSR1)}
    with ending(end), signals_kept(*before):
        for number in before:
            signal.signal(number, signal.SIG_IGN)
        leave(end)
    assert {number: signal.getsignal(number) for number in before} == before


def test_signals_are_left_alone_outside_the_main_thread() -> None:
    ended: list[bool] = []

    def work() -> None:
        with signals_kept(signal.SIGTERM):
            ended.append(True)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert ended == [True]


@pytest.mark.parametrize("enabled", [True, False])
def test_fault_handler_is_as_it_was(enabled: bool) -> None:
    was = faulthandler.is_enabled()
    with open(os.devnull, "w") as nowhere:
        try:
            faulthandler.enable(nowhere) if enabled else faulthandler.disable()
            with faulthandler_kept():
                faulthandler.enable(nowhere)
            assert faulthandler.is_enabled() is enabled
        finally:
            faulthandler.enable() if was else faulthandler.disable()


@pytest.mark.parametrize("end", ENDS)
def test_optuna_is_quiet_and_tells_again(end: type[BaseException] | None) -> None:
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.DEBUG)
    try:
        with ending(end), quiet_optuna():
            assert optuna.logging.get_verbosity() == optuna.logging.WARNING
            leave(end)
        assert optuna.logging.get_verbosity() == optuna.logging.DEBUG
        new_study()
        assert optuna.logging.get_verbosity() == optuna.logging.DEBUG
    finally:
        optuna.logging.set_verbosity(before)


def test_address_space_that_is_too_small_for_ray_is_refused_before_ray_starts() -> None:
    """Ray's own code aborts with its stack otherwise, wherever it happens to be."""
    words = ["search", "--architecture", "resnet18", "--subset", "150", "--trials", "1"]
    script = f"ulimit -v 7000000; exec {sys.executable} -m adasearch {' '.join(words)}"
    with TemporaryDirectory() as folder:
        done = subprocess.run(["bash", "-c", script], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith(
        "adasearch: Ray needs 8 GiB of address space in each process, but 'ulimit -v'"
    )
    assert len(done.stderr.splitlines()) == 1


def test_an_interruption_that_a_forks_hook_would_swallow_is_raised_at_the_end() -> None:
    done = []

    def starts_processes() -> None:
        with interrupt_deferred():
            signal.raise_signal(signal.SIGINT)  # in a hook of a fork this would be lost
            done.append("goes on")

    with pytest.raises(KeyboardInterrupt):
        starts_processes()
    assert done == ["goes on"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_second_interruption_does_not_wait() -> None:
    done = []

    def starts_processes() -> None:
        with interrupt_deferred():
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)
            done.append("goes on")

    with pytest.raises(KeyboardInterrupt):
        starts_processes()
    assert done == []


def test_another_handler_than_pythons_own_is_left_alone() -> None:
    heard = []
    with signals_kept(signal.SIGINT):
        signal.signal(signal.SIGINT, lambda number, _: heard.append(number))
        with interrupt_deferred():
            signal.raise_signal(signal.SIGINT)
    assert heard == [signal.SIGINT]
