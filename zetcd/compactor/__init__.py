"""Auto compaction: which revision to compact, and when (F2, pure)."""
