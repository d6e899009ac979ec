"""How much of incomplete requests is held: a client may begin many large ones and finish none."""

from typing import Optional


class Held:
    """A count of bytes, at most `most`, which also counts in a larger one."""

    __slots__ = ("_most", "_whole", "bytes")

    def __init__(self, most: int, whole: Optional["Held"] = None) -> None:
        self._most = most
        self._whole = whole
        self.bytes = 0

    def take(self, size: int) -> bool:
        """Hold so many more. False: that is too much; they are counted all the same until `give`."""
        self.bytes += size
        fits = self.bytes <= self._most
        return (self._whole is None or self._whole.take(size)) and fits

    def give(self, size: int) -> None:
        """So many are no longer held."""
        self.bytes -= size
        if self._whole is not None:
            self._whole.give(size)
