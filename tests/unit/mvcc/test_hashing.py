"""hash_kv is a published definition: computed here from the definition's words, and pinned by one golden number."""

import google_crc32c

from tests.unit.state.replica import Replica
from zetcd.base.errors import COMPACTED, FUTURE_REVISION
from zetcd.mvcc.engine import MemoryEngine
from zetcd.mvcc.keys import pack_header
from zetcd.wire.entry import Compact, DeleteRange, Put
from zetcd.wire.queries import HashKv
from zetcd.wire.results import Failed, Hashed


def digest(*versions: tuple[bytes, bytes, int]) -> int:
    """The definition: key length, key, row length, row, end."""
    data = b""
    for key, row, end in versions:
        data += len(key).to_bytes(4, "big") + key + len(row).to_bytes(4, "big") + row + end.to_bytes(8, "big")
    return int(google_crc32c.value(data))


def hashed(replica: Replica, revision: int = 0) -> Hashed:
    answer = replica.read(HashKv(revision))
    assert isinstance(answer, Hashed)
    return answer


def story() -> Replica:
    """a@2, b@3, a@4 (overwrite), b deleted at 5, b@6."""
    replica = Replica(MemoryEngine())
    replica.run(Put(b"a", b"1"), Put(b"b", b"1"), Put(b"a", b"2"), DeleteRange(b"b"), Put(b"b", b"3"))
    return replica


A2, A4 = pack_header(2, 2, 1, 0, 0) + b"1", pack_header(2, 4, 2, 0, 0) + b"2"
B3, B6 = pack_header(3, 3, 1, 0, 0) + b"1", pack_header(6, 6, 1, 0, 0) + b"3"


def test_definition() -> None:
    replica = story()
    everything = digest((b"a", A2, 4), (b"a", A4, 0), (b"b", B3, 5), (b"b", B6, 0))
    assert hashed(replica) == Hashed(6, everything, -1, 6)
    assert hashed(replica, 4) == Hashed(6, digest((b"a", A2, 4), (b"a", A4, 0), (b"b", B3, 0)), -1, 4)
    assert hashed(replica, 5) == Hashed(6, digest((b"a", A2, 4), (b"a", A4, 0), (b"b", B3, 5)), -1, 5)


def test_golden() -> None:
    """The number that every version of zetcd gives for this story."""
    assert hashed(story()).hash == 370337430


def test_empty_store() -> None:
    assert hashed(Replica(MemoryEngine())) == Hashed(1, 0, -1, 1)


def test_rule_18_the_hash_is_over_what_survives_logically() -> None:
    """The compact revision decides, not whether the sweep has been there."""
    replica = story()
    replica.run(Compact(5))
    expected = Hashed(6, digest((b"a", A4, 0), (b"b", B6, 0)), 5, 6)
    assert hashed(replica) == expected
    while replica.machine.sweep(1):
        assert hashed(replica) == expected
    assert hashed(replica) == expected
    replica.flush()
    assert hashed(replica) == expected


def test_revisions_out_of_bounds() -> None:
    replica = story()
    replica.run(Compact(5))
    assert replica.read(HashKv(4)) == Failed(COMPACTED.code, COMPACTED.message, 6)
    assert replica.read(HashKv(7)) == Failed(FUTURE_REVISION.code, FUTURE_REVISION.message, 6)
    assert hashed(replica, 5).hash_revision == 5
