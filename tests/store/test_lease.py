"""One search per study where there are no locks: leases in a real S3 server."""

import os
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from adasearch.doctor.examine import examine
from adasearch.errors import StoreError
from adasearch.io import patience
from adasearch.io.filesystem import locate
from adasearch.store import Store, lease, lease_backends
from adasearch.store.locks import StudyLocked
from tests.object_store import S3, s3_server
from tests.rows import STUDY, trial_of
from tests.store.held import holder

TRIAL = trial_of(STUDY, 0)


@pytest.fixture(scope="module")
def s3() -> Iterator[S3]:
    with s3_server() as server:
        yield server


@pytest.fixture(autouse=True)
def _weather(s3: S3, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(lease_backends, "SETTLE_SECONDS", 0.2)
    monkeypatch.setattr(lease, "POLL_SECONDS", 0.05)
    s3.proxy.calm()
    yield
    s3.proxy.calm()


@pytest.fixture(params=["conditions", "no conditions"])
def uri(request: pytest.FixtureRequest, s3: S3) -> str:
    """Results in a bucket of a server that knows conditional writes, and of one that does not."""
    if request.param == "no conditions":
        s3.proxy.without_conditions = True
    return s3.uri(s3.bucket(), bad_weather=True)


def backend(uri: str, study: str = "held") -> lease.LeaseBackend:
    store, root = locate(uri)
    return lease_backends.backend_for(store, uri, f"{root}/.leases/{study}.json")


def test_study_is_held_by_one_process_and_free_at_once_when_that_was_killed(uri: str) -> None:
    with holder(uri) as process:
        store = Store(uri)
        with pytest.raises(StudyLocked) as caught, store.locks.hold("held"):
            pytest.fail("the lease was given twice")
        assert f"host {socket.gethostname()}, process {process.pid}" in str(caught.value)
        with pytest.raises(StudyLocked):
            store.locks.check_free("held")
        assert store.locks.held("held") is True
        with store.locks.hold("another"):
            pass
        assert examine(store).findings == []
        process.kill()
        process.wait()
        assert "stale lease" in examine(store).findings[0].line()
        store.locks.check_free("held")
        assert store.locks.held("held") is False
        with store.locks.hold("held"):
            assert examine(store).findings == []
    assert examine(Store(uri)).findings == []


def test_server_that_breaks_every_connection_is_one_clear_error(
    s3: S3, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What botocore raises of a broken connection has no reply to look into."""
    monkeypatch.setattr(lease_backends, "ATTEMPTS", 1)
    here = backend(s3.uri(s3.bucket(), bad_weather=True))
    s3.proxy.always = "deaf"
    try:
        with pytest.raises(StoreError, match=r"cannot read .*/\.leases/held\.json"):
            here.read()
    finally:
        s3.proxy.calm()


def test_of_many_who_come_at_once_one_gets_it(s3: S3) -> None:
    """With conditions for sure; each of them is a store of its own, as in processes of their own."""
    uri = s3.uri(s3.bucket())
    for _ in range(2):
        start, taken, refused = threading.Barrier(6), [], []

        def come(number: int) -> None:
            store = Store(uri)
            start.wait()  # noqa: B023 - all threads end before the next one begins
            try:
                with store.locks.hold("study"):
                    taken.append(number)  # noqa: B023
                    time.sleep(0.3)
            except StudyLocked:
                refused.append(number)  # noqa: B023

        threads = [threading.Thread(target=come, args=(number,)) for number in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert (len(taken), len(refused)) == (1, 5)


def other(until: float, host: str = "elsewhere.example") -> bytes:
    return lease._bytes(lease.Holder(host=host, process=os.getpid(), token="other", until=until))


def test_lease_of_another_host_is_taken_over_once_it_ran_out(uri: str) -> None:
    here = backend(uri)
    version = here.write(other(time.time() + 60), None)
    with pytest.raises(StudyLocked, match=r"elsewhere\.example"), Store(uri).locks.hold("held"):
        pass
    version = here.write(other(time.time() - lease.SKEW_SECONDS + 5), version)
    with pytest.raises(StudyLocked), Store(uri).locks.hold("held"):  # its clock may be behind
        pass
    version = here.write(other(time.time() - lease.SKEW_SECONDS - 1), version)
    assert version is not None
    with Store(uri).locks.hold("held"):
        assert here.write(other(0), version) is None


def test_lease_is_renewed_while_it_is_held(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "RENEW_SECONDS", 0.1)
    here = backend(uri)
    with Store(uri).locks.hold("held"):
        seen = {here.read()}
        end = time.monotonic() + 20
        while len(seen) < 3 and time.monotonic() < end:
            time.sleep(0.05)
            seen.add(here.read())
    assert len(seen) >= 3


def test_holder_that_lost_its_lease_writes_nothing_more(uri: str, s3: S3) -> None:
    """As after a pause so long that another took the study over."""
    store = Store(uri)
    here = backend(uri)
    with ExitStack() as held:
        held.enter_context(store.locks.hold("held"))
        store.write_trial(TRIAL)
        found = here.read()
        assert found is not None
        assert here.write(other(time.time() + 60), found[1]) is not None
        store.locks._leases["held"]._renew()
        with pytest.raises(StoreError, match=r"the lease on held is lost: host elsewhere\.example"):
            store.write_trial(TRIAL)
    with pytest.raises(StudyLocked, match="elsewhere"):  # giving it back did not take it from the other
        Store(uri).locks.check_free("held")


def test_lease_that_cannot_be_renewed_is_lost_when_it_runs_out(
    s3: S3, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease_backends, "ATTEMPTS", 1)
    monkeypatch.setattr(lease, "LEASE_SECONDS", 3.0)
    monkeypatch.setattr(lease, "WRITE_SECONDS", 1.0)
    monkeypatch.setattr(patience, "RETRY_SECONDS", 0.1)
    store = Store(s3.uri(s3.bucket(), bad_weather=True))
    with store.locks.hold("held"):
        s3.proxy.plan.extend(["busy"] * 2)
        store.locks._leases["held"]._renew()
        store.locks._leases["held"]._renew()
        store.locks.check()  # it has not run out yet
        s3.proxy.always = "busy"
        time.sleep(2.1)
        with pytest.raises(StoreError, match="is lost: it could not be renewed for 2 s; cannot read"):
            store.locks.check()
        with pytest.raises(StoreError, match="is lost"):
            store.write_trial(TRIAL)


def test_answer_that_was_lost_does_not_lock_its_own_holder_out(s3: S3) -> None:
    """The first write counts although its answer is lost; said again, it is refused."""
    uri = s3.uri(s3.bucket(), bad_weather=True)
    backend(uri)  # has asked the server for its conditions
    s3.proxy.only = "held.json"
    s3.proxy.plan.extend(["fine", "deaf"])
    store = Store(uri)
    with store.locks.hold("held"):
        with pytest.raises(StudyLocked), Store(uri).locks.hold("held"):
            pass
        s3.proxy.plan.extend(["fine", "deaf"])  # and so with each renewal
        store.locks._leases["held"]._renew()
        assert s3.proxy.injected["deaf"] == 2
        store.locks.check()


def test_store_that_cannot_be_written_is_named_by_the_lock(s3: S3) -> None:
    named = r"cannot write nowhere/results/\.leases/probe: .*NoSuchBucket"
    with pytest.raises(StoreError, match=named), Store(s3.uri("nowhere")).locks.hold("held"):
        pass


def test_without_boto3_the_lease_is_a_plain_one(s3: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "boto3", None)
    uri = s3.uri(s3.bucket())
    assert isinstance(backend(uri), lease_backends._PlainBackend)
    with Store(uri).locks.hold("held"), pytest.raises(StudyLocked), Store(uri).locks.hold("held"):
        pass


def test_what_is_no_lease_holds_nothing() -> None:
    row = '{"host": "a", "process": %s, "token": "t", "until": %s}'
    numbers = (
        ("1e999", "0"),
        (str(2**31), "0"),
        ("0", "0"),
        ("1", "Infinity"),
        ("1", "NaN"),
        ("[" * 9999, "0"),
    )
    odd = [(row % pair).encode() for pair in numbers]
    for data in (b"", b"[]", b"{}", b'{"host": "a", "process": "x"}', b"\xff", *odd):
        assert lease.parsed(data) is None
    assert lease.parsed((row % (1, 0)).encode()) is not None
