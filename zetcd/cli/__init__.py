"""F7: the programs zetcd and zetcdctl."""
