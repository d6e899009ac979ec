"""F3: the replicated state machine."""
