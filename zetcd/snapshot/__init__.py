"""Moving a whole store to a member that is behind the log (design rule 7): pure state machines of both sides."""
