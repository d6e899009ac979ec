"""F2: who belongs to the cluster; pure."""
