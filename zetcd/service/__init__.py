"""F3: what api does with one request: from the public map to a command or query, and from a result to the reply map."""
