"""A bbolt file as it is read: its buckets and their pairs, and what is wrong with it.

See `pages` for the format. A small bucket may stand whole inside its pair (*inline*): its root page is then 0, and a
page without a number follows.
"""

from collections.abc import Iterator
from struct import Struct, error

from zetcd.bolt.pages import BRANCH, BUCKET, ELEMENT_BYTES, HEADER_BYTES, LEAF

_header = Struct("<QHHI").unpack_from
_leaf = Struct("<IIII").unpack_from
_branch = Struct("<IIQ").unpack_from
_meta = Struct("<IIIIQQQQQQ")
_bucket = Struct("<QQ")
_MAGIC = 0xED0CDAED
_DEPTH_MAX = 64


class Damage(ValueError):
    """Bytes that no bbolt file has."""


class File:
    """The whole of it, for example mapped into memory. Raises Damage where it is none."""

    def __init__(self, data: bytes | memoryview) -> None:
        self._data = memoryview(data)
        metas = [meta for at in (0, 4_096) if (meta := self._meta(at)) is not None]
        if not metas:
            raise Damage("invalid database")
        newest = max(metas, key=lambda meta: int(meta[8]))
        self.page_bytes, self._root, pages = newest[2], newest[4], newest[7]
        self.size = pages * self.page_bytes

    def _meta(self, at: int) -> tuple[int, ...] | None:
        try:
            meta: tuple[int, ...] = _meta.unpack_from(self._data, at + HEADER_BYTES)
        except error:
            return None
        checksum = 0xCBF29CE484222325
        for byte in self._data[at + HEADER_BYTES : at + HEADER_BYTES + _meta.size - 8]:
            checksum = (checksum ^ byte) * 0x100000001B3 & (2**64 - 1)
        return meta if meta[0] == _MAGIC and meta[1] == 2 and meta[9] == checksum else None

    def buckets(self) -> Iterator[tuple[bytes, Iterator[tuple[bytes, bytes]]]]:
        """Each bucket of the root with its pairs, in order; nested ones are no etcd's. Raises Damage, also later."""
        for flags, name, value in self._pairs(self._root, 0):
            if not flags & BUCKET:
                raise Damage(f"cannot get hash of bucket {name!r}")
            yield name, self._bucket(value)

    def _bucket(self, value: bytes) -> Iterator[tuple[bytes, bytes]]:
        try:
            root, _ = _bucket.unpack_from(value)
        except error:
            raise Damage("a bucket ends early") from None
        found = self._pairs(root, 0) if root else self._elements(memoryview(value), _bucket.size, 0)
        for _, key, item in found:
            yield key, item

    def _pairs(self, page: int, depth: int) -> Iterator[tuple[int, bytes, bytes]]:
        at = page * self.page_bytes
        if depth > _DEPTH_MAX or at + HEADER_BYTES > min(len(self._data), self.size):
            raise Damage(f"page {page}: out of bounds")
        if _header(self._data, at)[0] != page:
            raise Damage(f"page {page}: it says that it is page {_header(self._data, at)[0]}")
        yield from self._elements(self._data, at, depth)

    def _elements(self, data: memoryview, at: int, depth: int) -> Iterator[tuple[int, bytes, bytes]]:
        try:
            _, kind, count, _ = _header(data, at)
            for place in range(at + HEADER_BYTES, at + HEADER_BYTES + count * ELEMENT_BYTES, ELEMENT_BYTES):
                if kind & LEAF:
                    flags, offset, key_bytes, value_bytes = _leaf(data, place)
                    start = place + offset
                    end = start + key_bytes + value_bytes
                    if end > len(data):
                        raise Damage("a pair ends behind the file")
                    yield flags, bytes(data[start : start + key_bytes]), bytes(data[start + key_bytes : end])
                elif kind & BRANCH:
                    yield from self._pairs(_branch(data, place)[2], depth + 1)
                else:
                    raise Damage(f"unexpected page type {kind}")
        except error:
            raise Damage("a page ends behind the file") from None
