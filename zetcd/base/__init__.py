"""F0: identifiers, limits and errors; standard library only."""
