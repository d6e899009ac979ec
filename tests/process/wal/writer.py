"""A wal actor in a process of its own, on real files: the program the fault tests run.

    python -m tests.process.wal.writer write DIR [--count N] [--segment-bytes N] [--no-fsync]
    python -m tests.process.wal.writer read DIR
    python -m tests.process.wal.writer hold DIR

write prints each index once `Persisted` says it is durable, and ends with 3 and the error on stderr when the disk
fails. read recovers and prints `first last commit suspect`. hold prints "held" and waits for the end of its input.
"""

import argparse
import os
import sys

from zetcd.actors.actor import Peer
from zetcd.actors.wal_actor import WalActor
from zetcd.base import limits
from zetcd.base.errors import Fatal
from zetcd.base.settings import Settings
from zetcd.host.files import HostFiles
from zetcd.wire.entry import Block, Entry, Put, decode_entries, encode_entries
from zetcd.wire.local import HardState, Persist, Persisted, Recover, Recovered


def value(index: int) -> bytes:
    """What entry index must hold: no run of zeros in it."""
    return (b"%d." % index) * 60


def start(arguments: argparse.Namespace) -> tuple[WalActor, Peer, list[Block], HardState, bool]:
    """The actor with its log read."""
    settings = Settings(
        data_dir=arguments.directory, cluster_id=7, member_id=9, unsafe_no_fsync=bool(arguments.no_fsync)
    )
    actor = WalActor(settings, HostFiles(), segment_bytes=arguments.segment_bytes)
    raft = Peer("raft", 0, 1)
    actor.on_peer(raft)
    blocks: list[Block] = []
    while True:
        actor.on_batch(raft, [Recover()])
        (answer,) = actor.outbox.pop(raft)
        assert isinstance(answer, Recovered)
        blocks += answer.blocks
        if answer.done:
            return actor, raft, blocks, answer.hard_state, answer.suspect_cut


def write(arguments: argparse.Namespace) -> None:
    """Append until told otherwise or until the disk fails."""
    actor, raft, blocks, _, _ = start(arguments)
    last = blocks[-1].last if blocks else 0
    for index in range(last + 1, last + 1 + arguments.count):
        block = Block(index, index, 1, encode_entries([Entry(1, index, Put(b"k", value(index)))]))
        actor.on_batch(raft, [Persist(index, HardState(1, 9, index - 1), [block])])
        actor.end_turn()
        if index % 10 == 0:
            actor.on_tick(index)
        (answer,) = actor.outbox.pop(raft)
        assert isinstance(answer, Persisted)
        os.write(1, b"%d\n" % answer.index)


def read(arguments: argparse.Namespace) -> None:
    """Recover and check every entry."""
    _, _, blocks, state, suspect = start(arguments)
    for block in blocks:
        for index, entry in enumerate(decode_entries(block.count, block.data), block.first):
            assert isinstance(entry.command, Put)
            assert entry.command.value == value(index), index
    first, last = (blocks[0].first, blocks[-1].last) if blocks else (0, 0)
    print(first, last, state.commit, int(suspect))


def hold(arguments: argparse.Namespace) -> None:
    """Keep the directory."""
    start(arguments)
    os.write(1, b"held\n")
    sys.stdin.read()


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("act", choices=["write", "read", "hold"])
    parser.add_argument("directory")
    parser.add_argument("--count", type=int, default=1 << 30)
    parser.add_argument("--segment-bytes", type=int, default=limits.SEGMENT_BYTES)
    parser.add_argument("--no-fsync", action="store_true")
    arguments = parser.parse_args()
    try:
        {"write": write, "read": read, "hold": hold}[arguments.act](arguments)
    except Fatal as error:
        sys.stderr.write(f"FATAL {error}\n")
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main())
