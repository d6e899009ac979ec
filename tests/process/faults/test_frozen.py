"""Processes that stop running: short, and service goes on by itself; long, and the watchdog starts them anew."""

from pathlib import Path

import pytest

from tests.process.api.dealer import Dealer
from tests.process.faults.bulk import Bulk
from tests.process.member import Member

LIMIT_S = 60.0


@pytest.mark.parametrize("actor", ["wal", "raft", "apply", "lease", "api-0"])
@pytest.mark.timeout(180)
def test_a_process_that_pauses_delays_and_loses_nothing(tmp_path: Path, actor: str) -> None:
    with Member(tmp_path / "m") as member:
        bulk = Bulk(member, size=1024)
        bulk.start()
        bulk.wait_acked(100)
        before = {name: process.pid for name, process in member.processes().items()}
        process = member.processes()[actor]
        for _ in range(3):
            process.suspend()
            try:
                with pytest.raises(TimeoutError):  # the pause, and that it is one
                    member.call(
                        {"op": "no such op"} if actor == "api-0" else {"op": "watch_poll", "key": b"never"}, 0.5
                    )
            finally:
                process.resume()
            bulk.wait_acked(100, LIMIT_S)
        bulk.stop()
        assert not bulk.errors
        bulk.check()
        assert {name: process.pid for name, process in member.processes().items()} == before


def freeze_until_replaced(member: Member, actor: str) -> None:
    bulk = Bulk(member, size=1024)
    bulk.start()
    bulk.wait_acked(50)
    lease = member.call({"op": "lease_grant", "TTL": 600})["ID"]
    victim = member.processes()[actor]
    victim.suspend()
    victim.wait(LIMIT_S)  # the watchdog's SIGKILL needs no help from the process
    member.wait_served(LIMIT_S)
    bulk.wait_acked(50, LIMIT_S)
    bulk.stop()
    bulk.check()
    assert "no sign of life" in member.log
    assert member.call({"op": "lease_time_to_live", "ID": lease})["grantedTTL"] == 600


@pytest.mark.parametrize("actor", ["lease", "api-0"])
@pytest.mark.timeout(180)
def test_a_frozen_process_is_replaced(tmp_path: Path, actor: str) -> None:
    with Member(tmp_path / "m") as member:
        freeze_until_replaced(member, actor)


@pytest.mark.slow
@pytest.mark.parametrize("actor", ["wal", "raft", "apply"])
def test_rule_20_a_frozen_process_takes_its_fate_group_along_and_all_come_back(tmp_path: Path, actor: str) -> None:
    with Member(tmp_path / "m") as member:
        before = {name: process.pid for name, process in member.processes().items()}
        freeze_until_replaced(member, actor)
        after = {name: process.pid for name, process in member.processes().items()}
        assert not {name for name in ("wal", "raft", "apply") if before[name] == after[name]}


def test_reads_are_served_while_writes_cannot_be(tmp_path: Path) -> None:
    """Serializable ones while raft or wal hangs; linearizable ones too, while the grant stands (rule 9)."""
    with Member(tmp_path / "m") as member, Dealer(member.endpoint) as dealer:
        assert "error" not in dealer.call({"op": "put", "key": b"k", "value": b"v"})
        for actor in ("wal", "raft"):
            process = member.processes()[actor]
            process.suspend()
            try:
                for serializable in (True, False):
                    reply = dealer.call({"op": "range", "key": b"k", "serializable": serializable})
                    assert reply["count"] == 1
            finally:
                process.resume()
        assert "error" not in dealer.call({"op": "put", "key": b"k", "value": b"v"})
