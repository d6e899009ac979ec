"""lease deadlines, pure."""
