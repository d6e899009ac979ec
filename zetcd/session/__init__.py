"""the sans-I/O core of a client: ids, batching, retry rules."""
