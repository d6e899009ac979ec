"""The pages of a bbolt file. Integers are little-endian, offsets count from the element that holds them.

A file is pages of 4,096 bytes, numbered from 0. What does not fit into one goes on in those behind it (*overflow*).

- header: u64 number of the page, u16 kind, u16 count of elements, u32 pages of overflow.
- meta: u32 magic, u32 version 2, u32 page size, u32 flags, u64 root page of the root bucket, u64 its sequence, u64 page
  of the free list, u64 pages in the file, u64 transaction, u64 FNV-1a of all these.
- branch: for each child u32 offset of its first key, u32 length of the key, u64 page; then the keys.
- leaf: for each pair u32 flags (1: a bucket), u32 offset of the key, u32 its length, u32 length of the value; then key
  and value of each.
- bucket, the value of a pair of the root bucket: u64 root page, u64 sequence.

Pages 0 and 1 are two metas, of which that with the higher transaction counts. A free list need not be stored: then its
page is 2^64 - 1, and whoever opens the file finds free pages by itself, which is how etcd has it.
"""

from collections.abc import Sequence
from struct import Struct

PAGE_BYTES = 4_096
BRANCH, LEAF, META = 1, 2, 4
BUCKET = 1
NO_FREE_LIST = 2**64 - 1
_MAGIC, _VERSION = 0xED0CDAED, 2
_FNV_START, _FNV_PRIME = 0xCBF29CE484222325, 0x100000001B3

_header = Struct("<QHHI")
HEADER_BYTES = _header.size
_leaf = Struct("<IIII")
_branch = Struct("<IIQ")
ELEMENT_BYTES = 16
"""Of a leaf and of a branch alike, besides keys and values."""
_meta = Struct("<IIIIQQQQQ")
_checksum = Struct("<Q")
_bucket = Struct("<QQ")

Leaf = tuple[int, bytes, bytes]
"""(flags, key, value)."""
Child = tuple[bytes, int]
"""(first key, page)."""


def pages_for(size: int) -> int:
    """How many pages hold size bytes, header included."""
    return -(-size // PAGE_BYTES)


def leaf_page(page: int, pairs: Sequence[Leaf]) -> bytes:
    """A leaf, as many pages as it takes."""
    elements, data = list[bytes](), list[bytes]()
    offset = ELEMENT_BYTES * len(pairs)
    for flags, key, value in pairs:
        elements.append(_leaf.pack(flags, offset, len(key), len(value)))
        data += (key, value)
        offset += len(key) + len(value) - ELEMENT_BYTES  # the next element stands that much closer to its data
    return _page(page, LEAF, len(pairs), elements, data)


def branch_page(page: int, children: Sequence[Child]) -> bytes:
    """A branch, as many pages as it takes."""
    elements, data = list[bytes](), list[bytes]()
    offset = ELEMENT_BYTES * len(children)
    for key, child in children:
        elements.append(_branch.pack(offset, len(key), child))
        data.append(key)
        offset += len(key) - ELEMENT_BYTES
    return _page(page, BRANCH, len(children), elements, data)


def meta_page(page: int, root: int, pages: int, transaction: int) -> bytes:
    """One of the two metas."""
    fields = _meta.pack(_MAGIC, _VERSION, PAGE_BYTES, 0, root, 0, NO_FREE_LIST, pages, transaction)
    checksum = _FNV_START
    for byte in fields:
        checksum = (checksum ^ byte) * _FNV_PRIME & (2**64 - 1)
    return _page(page, META, 0, [fields], [_checksum.pack(checksum)])


def bucket_value(root: int) -> bytes:
    """What the root bucket says of a bucket."""
    return _bucket.pack(root, 0)


def _page(page: int, kind: int, count: int, elements: Sequence[bytes], data: Sequence[bytes]) -> bytes:
    body = b"".join((b"".join(elements), b"".join(data)))
    pages = max(1, pages_for(HEADER_BYTES + len(body)))
    return (_header.pack(page, kind, count, pages - 1) + body).ljust(pages * PAGE_BYTES, b"\x00")
