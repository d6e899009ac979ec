"""F7: zetcdctl, one file per command family; `main` finds the command, the families speak to the client."""
