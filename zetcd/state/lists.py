"""Lists of leases and of the keys of a lease: reads that may be long, in slices like any other (design rule 19)."""

from collections.abc import Callable

from zetcd.base import limits
from zetcd.mvcc.cursor import Cursor
from zetcd.mvcc.engine import Pair
from zetcd.mvcc.scan import Scan
from zetcd.wire.results import Result


class ListCursor(Cursor):
    """Collects the keys of a scan and makes the answer of them."""

    __slots__ = ("_answer", "_keys", "_scan")

    def __init__(self, scan: Scan, answer: Callable[[list[bytes]], Result]) -> None:
        self._scan = scan
        self._answer = answer
        self._keys: list[bytes] = []

    def step(self) -> Result | None:
        """See `Cursor`."""
        scan = self._scan
        read = 0
        while not scan.done:
            if read >= limits.READ_SLICE_KEYS:
                return None
            pairs: list[Pair] = scan.take(limits.READ_SLICE_KEYS)
            read += len(pairs) or 1
            self._keys += [key for key, _ in pairs]
        self.close()
        return self._answer(self._keys)

    def pin(self) -> None:
        """See `Cursor`."""
        self._scan.pin()

    def close(self) -> None:
        """See `Cursor`."""
        self._scan.close()
