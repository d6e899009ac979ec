"""F6: configuration, bootstrap, supervisor."""
