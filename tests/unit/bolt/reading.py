"""A bbolt file taken apart, for tests: as whoever opens it reads it, and stricter."""

import struct

PAGE = 4_096


def buckets(data: bytes) -> dict[bytes, dict[bytes, bytes]]:
    """Every bucket with its pairs. Asserts that keys ascend, that every page is reached once, and that metas hold."""
    metas = [struct.unpack_from("<IIIIQQQQQQ", data, page * PAGE + 16) for page in (0, 1)]
    for page, meta in enumerate(metas):
        assert meta[:3] == (0xED0CDAED, 2, PAGE)
        checksum = 0xCBF29CE484222325
        for byte in data[page * PAGE + 16 : page * PAGE + 72]:
            checksum = ((checksum ^ byte) * 0x100000001B3) % 2**64
        assert meta[9] == checksum
    _, _, _, _, root, _, _, pages, _, _ = max(metas, key=lambda meta: meta[8])
    assert len(data) == pages * PAGE
    seen = {0, 1}
    found = {}
    for flags, name, value in _pairs(data, root, seen):
        assert flags == 1
        rows = list(_pairs(data, struct.unpack("<QQ", value)[0], seen))
        assert all(flags == 0 for flags, _, _ in rows)
        keys = [key for _, key, _ in rows]
        assert keys == sorted(set(keys))
        found[name] = {key: value for _, key, value in rows}
    assert seen == set(range(pages))
    return found


def _pairs(data: bytes, page: int, seen: set[int], first: bytes | None = None) -> list[tuple[int, bytes, bytes]]:
    at = page * PAGE
    number, kind, count, overflow = struct.unpack_from("<QHHI", data, at)
    assert number == page
    used = set(range(page, page + overflow + 1))
    assert not seen & used
    seen |= used
    found: list[tuple[int, bytes, bytes]] = []
    for index in range(count):
        element = at + 16 + 16 * index
        if kind == 2:
            flags, offset, key_size, size = struct.unpack_from("<IIII", data, element)
            key_at = element + offset
            value_at = key_at + key_size
            assert value_at + size <= at + (overflow + 1) * PAGE
            found.append((flags, data[key_at:value_at], data[value_at : value_at + size]))
        else:
            assert (kind, count > 1) == (1, True)
            offset, key_size, child = struct.unpack_from("<IIQ", data, element)
            key = data[element + offset : element + offset + key_size]
            found += _pairs(data, child, seen, key)
    assert first is None or found[0][1] == first
    return found
