"""How much is held of what a client may leave where it is: requests it does not finish, answers it does not read."""

from typing import Optional

from zetcd.base import limits


class Held:
    """A count of bytes, at most `most`, which also counts in a larger one."""

    __slots__ = ("_whole", "bytes", "most")

    def __init__(self, most: int, whole: Optional["Held"] = None) -> None:
        self.most = most
        self._whole = whole
        self.bytes = 0

    def take(self, size: int) -> bool:
        """Hold so many more. False: that is too much; they are counted all the same until `give`."""
        self.bytes += size
        fits = self.bytes <= self.most
        return (self._whole is None or self._whole.take(size)) and fits

    def fits(self, size: int) -> bool:
        """Whether to hold so many more. Where the larger count is full, only those who hold next to nothing may."""
        whole = self._whole
        return whole is None or self.bytes <= limits.STREAM_UNSENT_BYTES_MAX or whole.bytes + size <= whole.most

    def give(self, size: int) -> None:
        """So many are no longer held."""
        self.bytes -= size
        if self._whole is not None:
            self._whole.give(size)
