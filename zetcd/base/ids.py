"""Identifiers. All are plain integers at run time; the names keep them apart for the type checker."""

from typing import NewType

ClusterId = NewType("ClusterId", int)
"""Unsigned 64-bit; equal on every member of a cluster."""
MemberId = NewType("MemberId", int)
"""Unsigned 64-bit; 0 means "no member" (for example, no leader)."""
Term = NewType("Term", int)
"""Raft term, from 1; 0 before the first election."""
Index = NewType("Index", int)
"""Position in the Raft log, from 1; 0 is the empty log."""
Revision = NewType("Revision", int)
"""MVCC revision: a fresh store is at 1, the first write makes 2."""
LeaseId = NewType("LeaseId", int)
"""Signed 64-bit, never 0; etcd accepts negative ids."""
Epoch = NewType("Epoch", int)
"""Life of the raft-wal-apply fate group; drawn and synced by wal at each start (design rule 6)."""
Incarnation = NewType("Incarnation", int)
"""Random 63-bit id of one life of one process; names the origin of a request (rule 8)."""
