"""F1: the one home of every message, its encoding, and the table of links.

Two dialects of MessagePack: inside a member and between members, typed positional arrays (`entry`, `local`, `queries`,
`results`); towards clients, maps with etcd's own field names (`client`, `replies`).
"""
