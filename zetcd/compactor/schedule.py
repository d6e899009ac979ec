"""Auto compaction, by etcd's rules (semantics of --auto-compaction-mode and --auto-compaction-retention).

| mode | revision sampled | compacts |
|---|---|---|
| periodic, retention P | every min(P, 1 h) / 10 | after P, then every min(P, 1 h), to the revision P ago |
| revision, retention N | - | every 5 minutes: to current - N |

Every member keeps the samples; only the leader acts. A revision given out counts as compacted once the store says so,
so a compaction that failed is given out again at the next sample.
"""

from collections import deque

HOUR_MS = 3_600_000
REVISION_INTERVAL_MS = 300_000
PERIODIC, REVISION = "periodic", "revision"
FLAG = "--auto-compaction-retention"
_UNITS_MS = {"h": 3_600_000.0, "m": 60_000.0, "s": 1_000.0, "ms": 1.0}


def parse_retention(mode: str, text: str) -> int:
    """Milliseconds (periodic) or revisions (revision); 0 is off. Raises ValueError that names the flag and the fix."""
    if mode not in {PERIODIC, REVISION}:
        raise ValueError(f"--auto-compaction-mode is {PERIODIC} or {REVISION}, not {mode!r}")
    plain = text.strip()
    if plain.isascii() and plain.isdigit():
        return int(plain) * (HOUR_MS if mode == PERIODIC else 1)
    if mode == REVISION:
        raise ValueError(f"{FLAG} is a number of revisions in mode revision (for example 10000), not {text!r}")
    duration = _duration_ms(plain)
    if duration is None:
        raise ValueError(
            f"{FLAG} is a number of hours or a duration in mode periodic (for example 1, 1h30m or 300s), not {text!r}"
        )
    return duration


def _duration_ms(text: str) -> int | None:
    """Go's durations: numbers with units, h m s ms."""
    total, rest = 0.0, text
    while rest:
        digits = len(rest) - len(rest.lstrip("0123456789."))
        number, rest = rest[:digits], rest[digits:]
        letters = len(rest) - len(rest.lstrip("hms"))
        unit, rest = rest[:letters], rest[letters:]
        if unit not in _UNITS_MS or not number.strip(".") or number.count(".") > 1:
            return None
        total += float(number) * _UNITS_MS[unit]
    return int(total) if text and (total >= 1 or total == 0) else None


class Compactor:
    """Which revision to compact, and when."""

    def __init__(self, mode: str, retention: int) -> None:
        """retention as `parse_retention` gives it; 0 is off."""
        self._mode = mode
        self._retention = retention
        self._interval_ms = min(retention, HOUR_MS) if mode == PERIODIC else REVISION_INTERVAL_MS
        self._sample_ms = max(1, self._interval_ms // 10) if mode == PERIODIC else REVISION_INTERVAL_MS
        self._samples: deque[tuple[int, int]] = deque()  # (when, revision)
        self._sample_at: int | None = None
        self._act_at = 0
        self._given = (0, 0)  # (when, revision) of what was given out last

    def on_tick(self, now_ms: int, revision: int, compact_revision: int, *, is_leader: bool) -> int | None:
        """The revision to compact now, if any. revision, compact_revision: the store's."""
        if not self._retention:
            return None
        if self._sample_at is None:
            self._sample_at = now_ms
            self._act_at = now_ms + (self._retention if self._mode == PERIODIC else REVISION_INTERVAL_MS)
        if now_ms < self._sample_at:
            return None
        self._sample_at = now_ms + self._sample_ms
        target = self._periodic(now_ms, revision) if self._mode == PERIODIC else revision - self._retention
        given_at, given = self._given
        if given and compact_revision >= given:
            self._act_at = given_at + self._interval_ms
            self._given = (0, 0)
        if now_ms < self._act_at or not is_leader:
            return None
        if target <= compact_revision:
            self._act_at = now_ms + self._interval_ms  # nothing to do
            return None
        self._given = (now_ms, target)
        return target

    def _periodic(self, now_ms: int, revision: int) -> int:
        """The newest sample that is at least the retention old; older ones are forgotten."""
        samples = self._samples
        samples.append((now_ms, revision))
        while len(samples) > 1 and samples[1][0] <= now_ms - self._retention:
            samples.popleft()
        return samples[0][1] if samples[0][0] <= now_ms - self._retention else 0
