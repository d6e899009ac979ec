"""A bbolt file written in one go, from its first page to its last, of buckets whose pairs come sorted.

The first pages name the root and the size of the file, which are known only at the end. So there are two passes over
the pairs: `measure` asks for sizes alone and counts pages, `render` yields them. Both place each pair by the same rule,
and no more is in memory than one page of each level of the tree.

    trees of the buckets, in order of their names; then the root bucket, one leaf that names their roots

A tree is filled from the left: a leaf is complete when the next pair does not fit, a branch when the next child does
not; each branch keeps two children at least. A pair larger than a page has a leaf of its own, with overflow.
"""

from collections.abc import Callable, Iterable, Iterator

from zetcd.bolt import pages
from zetcd.bolt.pages import BUCKET, ELEMENT_BYTES, HEADER_BYTES, PAGE_BYTES, Child, Leaf

Pair = tuple[bytes, int, bytes]
"""(key, length of the value, value); where sizes alone were asked for the value may be empty."""
Source = Callable[[bool], Iterable[Pair | None]]
"""The pairs of a bucket, keys ascending; True: sizes are enough. None is a pause: the writer has done a slice of work,
and passes it on to whoever drives it. Both passes must give the same keys and sizes."""

_CHILD_ROOM = PAGE_BYTES - HEADER_BYTES


class _Pages:
    """Numbers for pages, and the pages that are complete; in the first pass numbers alone."""

    __slots__ = ("measuring", "next", "out")

    def __init__(self, first: int, *, measuring: bool) -> None:
        self.next = first
        self.measuring = measuring
        self.out: list[bytes] = []

    def leaf(self, pairs: list[Leaf], size: int) -> int:
        """A leaf of size bytes; its page."""
        page = self.next
        self.next += pages.pages_for(size)
        if not self.measuring:
            self.out.append(pages.leaf_page(page, pairs))
        return page

    def branch(self, children: list[Child]) -> int:
        """A branch; its page."""
        page = self.next
        self.next += pages.pages_for(HEADER_BYTES + sum(len(key) + ELEMENT_BYTES for key, _ in children))
        if not self.measuring:
            self.out.append(pages.branch_page(page, children))
        return page


class _Tree:
    """One bucket, filled from the left."""

    __slots__ = ("_pages", "_pairs", "_size", "_levels")  # noqa: RUF023 - in order of use

    def __init__(self, into: _Pages) -> None:
        self._pages = into
        self._pairs: list[Leaf] = []
        self._size = HEADER_BYTES
        self._levels: list[list[Child]] = []  # children without a branch yet, lowest level first

    def add(self, key: bytes, size: int, value: bytes, flags: int = 0) -> None:
        """The next pair."""
        total = ELEMENT_BYTES + len(key) + size
        if self._pairs and self._size + total > PAGE_BYTES:
            self._cut()
        self._pairs.append((flags, key, value))
        self._size += total

    def _cut(self) -> None:
        pairs = self._pairs
        page = self._pages.leaf(pairs, self._size)
        self._rise(0, (pairs[0][1] if pairs else b"", page))
        self._pairs, self._size = [], HEADER_BYTES

    def _rise(self, level: int, child: Child) -> None:
        """A child more on level; what does not fit into a branch with two to spare becomes a branch."""
        if level == len(self._levels):
            self._levels.append([])
        children = self._levels[level]
        children.append(child)
        room, count = _CHILD_ROOM, 0
        while count < len(children) and room >= ELEMENT_BYTES + len(children[count][0]):
            room -= ELEMENT_BYTES + len(children[count][0])
            count += 1
        count = max(2, count)
        if len(children) >= count + 2:
            self._levels[level] = children[count:]
            self._rise(level + 1, (children[0][0], self._pages.branch(children[:count])))

    def finish(self) -> int:
        """The root page of the complete tree."""
        if self._pairs or not self._levels:
            self._cut()
        level = 0
        while level + 1 < len(self._levels) or len(self._levels[level]) > 1:
            children = self._levels[level]
            size = sum(len(key) + ELEMENT_BYTES for key, _ in children)
            parts = [children] if size <= _CHILD_ROOM or len(children) < 4 else [children[:-2], children[-2:]]
            for part in parts:
                self._rise(level + 1, (part[0][0], self._pages.branch(part)))
            level += 1
        return self._levels[level][0][1]


class Database:
    """One file. Call `measure` to its end, then `render`."""

    def __init__(self, buckets: dict[bytes, Source]) -> None:
        self._buckets = sorted(buckets.items())
        self._root = 0
        self.pages = 0

    @property
    def size(self) -> int:
        """Bytes of the file, once it is measured."""
        return self.pages * PAGE_BYTES

    def measure(self) -> Iterator[None]:
        """The first pass, one step for each pause of the sources."""
        into = _Pages(2, measuring=True)
        for _ in self._fill(into):
            yield
        self.pages = into.next

    def render(self) -> Iterator[bytes]:
        """The file; empty bytes are a pause."""
        for page in (0, 1):  # the second is the newer one by its transaction, as if it had been written last
            yield pages.meta_page(page, self._root, self.pages, page)
        into = _Pages(2, measuring=False)
        root = self._root
        for _ in self._fill(into):
            out, into.out = into.out, []
            yield from out
            yield b""
        yield from into.out
        assert (into.next, self._root) == (self.pages, root), "both passes have to see the same"

    def _fill(self, into: _Pages) -> Iterator[None]:
        roots: list[tuple[bytes, int]] = []
        for name, source in self._buckets:
            tree = _Tree(into)
            add = tree.add
            for pair in source(into.measuring):
                if pair is None:
                    yield
                else:
                    add(*pair)
            roots.append((name, tree.finish()))
        top = _Tree(into)
        for name, page in roots:
            value = pages.bucket_value(page)
            top.add(name, len(value), value, BUCKET)
        self._root = top.finish()
