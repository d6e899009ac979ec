"""`zetcdctl wal`: what it prints, how it exits, and that it changes nothing."""

import argparse
import json
from pathlib import Path

import pytest

from tests.unit.wal.member import QUIET, block
from zetcd.actors.actor import Peer
from zetcd.actors.wal_actor import WalActor
from zetcd.base.settings import Settings
from zetcd.cli.wal import add_parser, main
from zetcd.host.files import HostFiles
from zetcd.wire.local import HardState, Persist, Recover, Release


@pytest.fixture
def member(tmp_path: Path) -> Path:
    """A data directory whose log has several segments; its last turn is unproven."""
    port = HostFiles()
    actor = WalActor(
        Settings(data_dir=str(tmp_path), cluster_id=0xC0FFEE, member_id=9), port, QUIET, segment_bytes=4096
    )
    raft = Peer("raft", 0, 1)
    actor.on_batch(raft, [Recover()])
    for index in range(1, 21):
        actor.on_batch(raft, [Persist(index, HardState(1, 9, index - 1), [block(index, 1, 1, size=300)])])
        actor.end_turn()
    actor.on_batch(raft, [Release(2, 1)])
    actor.end_turn()
    actor.on_batch(raft, [Persist(21, None, [block(21, 1, 1)])])
    actor.end_turn()
    port.release_locks()
    return tmp_path


def segments(member: Path) -> list[Path]:
    return sorted((member / "member/wal").glob("*.wal"))


def contents(member: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in member.rglob("*") if path.is_file()}


def test_verify_of_a_sound_log(member: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = contents(member)
    for place in (member, member / "member", member / "member/wal"):
        assert main(["verify", str(place)]) == 0
    assert "entries 3-21, term 1, commit 19, cluster c0ffee, member 9" in capsys.readouterr().out
    assert main(["verify", str(member), "-w", "json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["ok"]
    assert (told["first"], told["last"], told["cut"]) == (3, 21, None)
    assert contents(member) == before


def test_dump_prints_every_record_and_with_entries_every_command(
    member: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = contents(member)
    assert main(["dump", str(member), "--entries", "-w", "json"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["index"] for line in lines if "command" in line] == list(range(1, 22))
    assert [line["first"] for line in lines if line.get("type") == "block"] == list(range(1, 22))
    assert len([line for line in lines if "segment" in line]) == len(segments(member))
    assert main(["dump", str(member)]) == 0
    text = capsys.readouterr().out
    assert "type=block crc=ok" in text
    assert "first=21 last=21 term=1" in text
    assert contents(member) == before


def test_damage_is_named_by_file_and_offset(member: Path, capsys: pytest.CaptureFixture[str]) -> None:
    victim = segments(member)[1]
    data = bytearray(victim.read_bytes())
    data[700] ^= 1
    victim.write_bytes(data)
    assert main(["verify", str(member)]) == 1
    told = capsys.readouterr().out
    assert victim.name in told
    assert "damaged at offset" in told
    assert main(["verify", "-w", "json", str(member)]) == 1
    assert not json.loads(capsys.readouterr().out)["ok"]
    assert main(["dump", str(member)]) == 1
    assert "crc=bad error=checksum mismatch" in capsys.readouterr().out


def test_an_unfinished_write_is_no_damage_but_a_flipped_byte_of_the_last_turn_may_be(
    member: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    last = segments(member)[-1]
    sound = last.read_bytes()
    end = len(sound.rstrip(b"\0"))
    last.write_bytes(sound[: end - 60] + bytes(len(sound) - end + 60))
    unfinished = main(["verify", str(member)])
    told = capsys.readouterr().out
    last.write_bytes(sound[: end - 20] + b"?" + sound[end - 19 :])
    assert main(["verify", str(member)]) == 1
    assert "DAMAGED, perhaps acknowledged" in capsys.readouterr().out
    # Sixty missing bytes are less than a sector: only where a sector ends inside them can it be told from damage.
    assert unfinished == ("unfinished write" not in told)


def test_a_directory_without_a_log_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["dump", str(tmp_path)]) == 1
    assert main(["verify", str(tmp_path)]) == 1
    assert main(["dump", str(tmp_path / "nowhere")]) == 1
    assert "no such directory" in capsys.readouterr().err


def test_it_joins_a_larger_command_line(member: Path) -> None:
    parser = argparse.ArgumentParser()
    add_parser(parser.add_subparsers())
    arguments = parser.parse_args(["wal", "verify", str(member)])
    assert arguments.run(arguments) == 0
