"""What every command is given: its flags and arguments, the printers, and the client, made when first used."""

import os
import sys
from typing import TYPE_CHECKING, Any

from zetcd.cli.ctl import formats
from zetcd.cli.ctl.exits import BAD_ARGS, BAD_FEATURE, ERROR, IO, Exit
from zetcd.cli.ctl.flags import Parsed

if TYPE_CHECKING:
    from zetcd.client.aio import AsyncClient
    from zetcd.client.sync import Client
    from zetcd.wire.client import Request

_SCHEMES = ("tcp://", "ipc://")


class Console:
    """One run of one command."""

    def __init__(self, parsed: Parsed) -> None:
        self.parsed = parsed
        self.args = parsed.args
        self.format = parsed.text("write-out")
        self._client: Client | None = None

    # -- output ----------------------------------------------------------------------------------------------------
    def check_format(self) -> None:
        """Raises Exit where -w names no format. etcdctl looks at it when it connects, not before."""
        if self.format not in formats.NAMES:
            raise Exit(BAD_FEATURE, "unsupported output format")

    def show(self, kind: str, reply: dict[str, Any], *, value_only: bool = False, keys: bool = False) -> None:
        """Print a reply of this kind in the chosen format."""
        options = formats.Options(self.parsed.on("hex"), value_only, keys)
        self.write(formats.printer(self.format, kind)(reply, options))

    def write(self, data: bytes) -> None:
        """Bytes to stdout, at once: others may write to it as well (commands run by watch and lock). Raises Exit."""
        try:
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()
        except OSError as error:
            # What could not be written is still buffered, and would be tried again when the interpreter ends.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise Exit(IO, f"stdout: {error.strerror}") from None

    def line(self, text: str) -> None:
        """A line of text to stdout."""
        self.write(text.encode("utf-8", "surrogateescape") + b"\n")

    def complain(self, text: str) -> None:
        """A line of text to stderr."""
        sys.stderr.buffer.write(text.encode("utf-8", "surrogateescape") + b"\n")
        sys.stderr.buffer.flush()

    # -- client ----------------------------------------------------------------------------------------------------
    @property
    def endpoints(self) -> list[str]:
        """--endpoints, blanks removed."""
        return [endpoint.strip() for endpoint in self.parsed.items("endpoints")]

    @property
    def timeout(self) -> float:
        """--command-timeout, in seconds."""
        return self.parsed.seconds("command-timeout")

    @property
    def client(self) -> "Client":
        """The client of all endpoints."""
        if self._client is None:
            self._client = self.connect(self.endpoints)
        return self._client

    def connect(self, endpoints: list[str]) -> "Client":
        """A client of these endpoints. Raises Exit where they, or the flags about them, cannot be used."""
        self.check_format()
        self.check_security()
        from zetcd.client.sync import Client

        dial = self.parsed.seconds("dial-timeout")
        try:
            return Client(
                [address(endpoint) for endpoint in endpoints],
                timeout=self.timeout,
                connect_timeout=dial,
                sockets=1,
            )
        except ValueError as error:
            raise Exit(BAD_ARGS, str(error)) from None

    def connect_async(self) -> "AsyncClient":
        """A client for asyncio, of all endpoints."""
        self.check_format()
        self.check_security()
        from zetcd.client.aio import AsyncClient

        addresses = [address(endpoint) for endpoint in self.endpoints]
        return AsyncClient(addresses, timeout=self.timeout, connect_timeout=self.parsed.seconds("dial-timeout"))

    def check_security(self) -> None:
        """Raises Exit where flags ask for what the server does not have."""
        for name in ("cert", "key", "cacert"):
            if name in self.parsed.changed and not self.parsed.text(name):
                raise Exit(BAD_ARGS, f"empty string is passed to --{name} option")
        for name in ("cert", "key", "cacert", "user", "password", "discovery-srv"):
            if self.parsed.text(name):
                raise Exit(BAD_FEATURE, f"--{name} is not supported yet: this version connects in the clear, by name")

    def call(
        self,
        request: "Request",
        *,
        code: int = ERROR,
        frame: str = "{}",
        timeout: float | None = None,
        endpoint: str | None = None,
    ) -> dict[str, Any]:
        """One request. A refusal is an Exit with this code and its message set into frame."""
        from zetcd.session.errors import Error

        client = self.client
        limit = self.timeout if timeout is None else timeout
        try:
            return client.call(request, timeout=limit, endpoint=address(endpoint) if endpoint else None)
        except Error as error:
            raise Exit(code, frame.format(error.message)) from None

    def abandon(self, code: int) -> None:
        """Ends the process here and now, from whatever thread; everything printed has been written."""
        os._exit(code)

    def close(self) -> None:
        """Ends the connections."""
        if self._client is not None:
            self._client.close()


def address(endpoint: str) -> str:
    """tcp:// in front of a bare host:port. Raises Exit for URLs of another protocol."""
    if endpoint.startswith(_SCHEMES):
        return endpoint
    if "://" in endpoint:
        raise Exit(
            BAD_ARGS,
            f"endpoint {endpoint} is not a ZeroMQ one: zetcdctl speaks tcp:// (a member's tcp:// listener, "
            "by default tcp://127.0.0.1:2378); etcdctl speaks http://",
        )
    return "tcp://" + endpoint


def octets(argument: str) -> bytes:
    """The bytes that the shell gave."""
    return os.fsencode(argument)
