"""What was sent on a link and is not answered yet: its bytes (rule 17), and for how long no answer came (rule 20)."""

from collections import deque


class Window:
    """Items with ascending keys, answered in order; one answer covers all keys up to its own."""

    __slots__ = ("_answered_ms", "_bytes_max", "_items", "bytes")

    def __init__(self, bytes_max: int = 0) -> None:
        self.bytes = 0
        self._bytes_max = bytes_max
        self._answered_ms = 0
        self._items: deque[tuple[int, int, int]] = deque()  # (key, bytes, sent at ms)

    def __len__(self) -> int:
        return len(self._items)

    @property
    def room(self) -> int:
        """Bytes that may be sent now; an item larger than that may follow as long as it is above 0."""
        return self._bytes_max - self.bytes

    def add(self, key: int, size: int, now_ms: int) -> None:
        """Something was sent."""
        self.bytes += size
        self._items.append((key, size, now_ms))

    def raise_to(self, key: int, now_ms: int) -> None:
        """For items without bytes, where only ages count: those of one instant are one item."""
        items = self._items
        if items and items[-1][2] == now_ms:
            items[-1] = (key, 0, now_ms)
        else:
            items.append((key, 0, now_ms))

    def answered(self, key: int, now_ms: int) -> None:
        """Everything up to key is answered."""
        items = self._items
        if items and items[0][0] <= key:
            self._answered_ms = now_ms
        while items and items[0][0] <= key:
            self.bytes -= items.popleft()[1]

    def replaced(self, key: int) -> None:
        """What was sent from key on is void: something else is sent in its place."""
        items = self._items
        while items and items[-1][0] >= key:
            self.bytes -= items.pop()[1]

    def age_ms(self, now_ms: int) -> int:
        """For how long nothing has been answered although something was to be; 0 where nothing is. A slow disk that
        answers is no hung one: what was sent during one sync waits for that and for the next."""
        return now_ms - max(self._items[0][2], self._answered_ms) if self._items else 0
