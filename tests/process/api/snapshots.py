"""Takes a snapshot stream off a member, as a client does."""

import hashlib
import itertools
from typing import Any

from tests.process.api.dealer import Dealer

_names = itertools.count()


def take(dealer: Dealer, window: int = 16) -> tuple[bytes, int]:
    """The whole file, and the revision it stands at. Asserts the shape of every reply. Each has an address of its own:
    credit may cross with the end, and is then answered with an error."""
    address = dealer.send({"op": "snapshot", "credit": window}, b"snapshot%d" % next(_names))
    chunks, reply = list[bytes](), dict[str, Any]()
    while not reply.get("done"):
        reply = dealer.reply(address)
        assert "error" not in reply, reply
        if reply.get("blob") and not reply.get("done"):
            chunks.append(reply["blob"])
            assert len(reply["blob"]) <= 32 * 1024
            left = reply.get("remaining_bytes", 0)
            if left:
                assert len(reply["blob"]) == 32 * 1024
            dealer.send({"op": "snapshot_credit", "chunks": 1}, *address)
    data = b"".join(chunks)
    assert left == 0
    assert reply["blob"] == hashlib.sha256(data).digest()
    return data, reply["header"]["revision"]
