"""How a command ends: etcdctl's exit codes, and the one exception that carries a text and a code to `main`."""

SUCCESS, ERROR, BAD_CONNECTION, INVALID_INPUT, BAD_FEATURE, INTERRUPTED, IO = range(7)
BAD_ARGS = 128


class Exit(Exception):
    """Ends the program with ``code``; ``text`` goes to stderr as ``Error: text``, nothing where it is empty."""

    def __init__(self, code: int, text: str = "") -> None:
        super().__init__(text)
        self.code = code
        self.text = text
