"""Raft consensus, pure."""
