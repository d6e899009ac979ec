"""Lock and election operations as small state machines over the public requests (F2, pure)."""
