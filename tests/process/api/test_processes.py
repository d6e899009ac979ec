"""Several api processes on one port."""

import contextlib
from pathlib import Path

import psutil

from tests.process.api.dealer import Dealer
from tests.process.member import Member


def test_they_share_the_port_and_the_store(tmp_path: Path) -> None:
    with Member(tmp_path / "m", "--api-processes", "3") as member, contextlib.ExitStack() as stack:
        by_process: dict[int, Dealer] = {}
        for _ in range(100):  # the kernel deals connections out by their hash
            dealer = stack.enter_context(Dealer(member.endpoint))
            number = dealer.call({"op": "metrics"})["metrics"]["api_process"]
            by_process.setdefault(number, dealer)
            if len(by_process) == 3:
                break
        assert sorted(by_process) == [0, 1, 2]
        watches = {
            number: dealer.send({"op": "watch_create", "key": b"shared"}) for number, dealer in by_process.items()
        }
        for number, dealer in by_process.items():
            assert dealer.reply(watches[number])["created"]
        lease = by_process[0].call({"op": "lease_grant", "TTL": 60})["ID"]
        revision = by_process[1].call({"op": "put", "key": b"shared", "value": b"v", "lease": lease})["header"][
            "revision"
        ]
        for number, dealer in by_process.items():
            (event,) = dealer.reply(watches[number])["events"]
            assert event["kv"]["mod_revision"] == revision
            assert dealer.call({"op": "range", "key": b"shared"})["kvs"][0]["value"] == b"v"
        mutex = by_process[2].call({"op": "lock", "name": b"mutex", "lease": lease})
        other = by_process[1].call({"op": "lease_grant", "TTL": 60})["ID"]
        waiting = by_process[0].send({"op": "lock", "name": b"mutex", "lease": other})
        by_process[1].call({"op": "unlock", "key": mutex["key"]})
        assert by_process[0].reply(waiting)["key"] == b"mutex/%x" % other


def test_one_that_dies_takes_only_its_own_connections(tmp_path: Path) -> None:
    with Member(tmp_path / "m", "--api-processes", "2") as member, contextlib.ExitStack() as stack:
        by_process: dict[int, Dealer] = {}
        while len(by_process) < 2:
            dealer = stack.enter_context(Dealer(member.endpoint))
            by_process.setdefault(dealer.call({"op": "metrics"})["metrics"]["api_process"], dealer)
        victim: psutil.Process = member.processes()["api-1"]
        watch = by_process[0].send({"op": "watch_create", "key": b"k"})
        assert by_process[0].reply(watch)["created"]
        victim.kill()
        victim.wait(30)
        revision = by_process[0].call({"op": "put", "key": b"k", "value": b"v"})["header"]["revision"]
        assert by_process[0].reply(watch)["events"][0]["kv"]["mod_revision"] == revision
        # ZeroMQ reconnects to whoever listens now; a request that was not in flight is simply answered.
        assert by_process[1].call({"op": "range", "key": b"k"})["count"] == 1
