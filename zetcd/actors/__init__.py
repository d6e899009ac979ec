"""F5: the actors. Each is a reactor: messages in, messages out; no socket, clock, disk or dice inside."""
