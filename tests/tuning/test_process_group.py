"""Where rank 0 listens for the others; real workers are in ``tests/training/test_loop_workers.py``."""

from datetime import timedelta

import psutil
import pytest
import ray
from torch.distributed import TCPStore  # type: ignore[attr-defined]

from adasearch.tuning import process_group


def listening() -> set[tuple[str, int]]:
    ports = psutil.Process().net_connections(kind="inet")
    return {(each.laddr.ip, each.laddr.port) for each in ports if each.status == psutil.CONN_LISTEN}


def at(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray.util, "get_node_ip_address", lambda: address)


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_store_listens_on_the_node_s_own_address_until_the_group_is_left(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    at(address, monkeypatch)
    before = listening()
    host, port = process_group._open_store(2, 10)
    assert host == address
    assert listening() - before == {(address, port)}
    other = TCPStore(host, port, 2, timeout=timedelta(seconds=10))
    other.set("word", "said")
    assert process_group._opened.get("word") == b"said"
    del other
    process_group._leave()
    assert listening() == before


def test_one_worker_alone_opens_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    at("198.51.100.7", monkeypatch)
    before = listening()
    process_group._open_store(1, 10)
    assert listening() == before


def test_address_that_is_not_the_node_s_own_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    at("198.51.100.7", monkeypatch)
    with pytest.raises(OSError, match=r"workers cannot meet at 198\.51\.100\.7"):
        process_group._open_store(2, 10)
