"""An ordered scan of one table through the overlay: engine rows, corrected by the frozen and the active layer.

A scan sees the table as it was when it was opened. Within a turn nothing is written, so it reads the layers in place;
a scan that goes on in a later turn is pinned first (design rule 19): the engine's iterator is pinned anyway, the frozen
layer no longer changes, and of the active one the rest of the range is copied.
"""

from zetcd.mvcc.engine import EngineScan, Pair
from zetcd.mvcc.layer import Layer


class Scan:
    """Pairs in [start, stop), deletions left out; descending in reverse."""

    __slots__ = ("_drained", "_engine", "_layers", "_pinned", "_reverse", "_rows", "_start", "_stop", "done")

    def __init__(
        self, engine: EngineScan, layers: list[Layer], start: bytes, stop: bytes | None, *, reverse: bool
    ) -> None:
        self._engine = engine
        self._layers = layers  # frozen, then active: the later one wins
        self._start = start
        self._stop = stop
        self._reverse = reverse
        self._rows: list[Pair] = []  # read from the engine, not yet handed out
        self._drained = False  # the engine has no more
        self._pinned: Layer | None = None
        self.done = stop is not None and start >= stop

    def take(self, count: int) -> list[Pair]:
        """The next pairs: about count of them, and none before the end is no sign of the end: see `done`."""
        if self.done:
            return []
        rows = self._rows
        if not self._drained and len(rows) < count:
            wanted = count - len(rows)
            more = self._engine.take(wanted)
            self._drained = len(more) < wanted
            rows = rows + more if rows else more
        bound = None if self._drained else rows[-1][0]
        found: list[tuple[Layer, list[bytes]]] = []
        for layer in self._layers:
            if self._reverse:
                keys = layer.last(self._start, self._stop, count)
                if len(keys) == count and (bound is None or keys[-1] > bound):
                    bound = keys[-1]
            else:
                keys = layer.first(self._start, self._stop, count)
                if len(keys) == count and (bound is None or keys[-1] < bound):
                    bound = keys[-1]
            if keys:
                found.append((layer, keys))
        self._advance(bound)
        if not found:
            self._rows = []
            return rows
        return self._merge(rows, found, bound)

    def _advance(self, bound: bytes | None) -> None:
        """Everything up to bound (inclusive; None is the end) is being handed out."""
        if bound is None:
            self.done = True
        elif self._reverse:
            self._stop = bound
        else:
            self._start = bound + b"\x00"

    def _merge(self, rows: list[Pair], found: list[tuple[Layer, list[bytes]]], bound: bytes | None) -> list[Pair]:
        later: list[Pair] = []
        reverse = self._reverse
        merged: dict[bytes, bytes | None] = {}
        if bound is None:
            merged.update(rows)
            for layer, keys in found:
                values = layer.rows
                for key in keys:
                    merged[key] = values[key]
        else:
            while rows and (rows[-1][0] < bound if reverse else rows[-1][0] > bound):
                later.append(rows.pop())
            later.reverse()
            merged.update(rows)
            for layer, keys in found:
                values = layer.rows
                for key in keys:
                    if key >= bound if reverse else key <= bound:
                        merged[key] = values[key]
        self._rows = later
        return [(key, row) for key, row in sorted(merged.items(), reverse=reverse) if row is not None]

    def seek(self, key: bytes) -> None:
        """Forward only: leave out what lies before key."""
        assert not self._reverse
        if key <= self._start:
            return
        self._start = key
        self._rows = [pair for pair in self._rows if pair[0] >= key]
        if not self._rows and not self._drained:
            self._engine.seek(key)
        if self._stop is not None and key >= self._stop:
            self.done = True

    def pin(self) -> None:
        """Make the scan independent of later writes; call in the turn that opened it."""
        if self._pinned is None and not self.done:
            frozen, active = self._layers
            frozen.pins += 1
            self._pinned = frozen
            self._layers = [frozen, active.part(self._start, self._stop)]

    def close(self) -> None:
        """Let go of what is pinned."""
        self.done = True
        self._engine.close()
        if self._pinned is not None:
            self._pinned.pins -= 1
            self._pinned = None
        self._layers = []
        self._rows = []
