"""the versioned store."""
