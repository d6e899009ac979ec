"""The gateway process: listeners of etcd's protocols in front, the ZeroMQ API of its own member behind.

It reaches every api process of the member over ipc, so a member needs no ``tcp://`` listener to be complete. It keeps
nothing: whoever is connected when it ends connects to the next life of it, or to another gateway process on the port.
"""

import asyncio
import contextlib
import gc
import signal
import socket
import ssl
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import unquote

from zetcd.base import limits
from zetcd.base.errors import Refusal
from zetcd.base.settings import Settings, Tls
from zetcd.gateway import ciphers, self_signed
from zetcd.gateway.grpc.service import Traffic
from zetcd.gateway.h2.policing import Policy
from zetcd.gateway.http.handler import handler
from zetcd.gateway.http.health import Health
from zetcd.gateway.http.rpc_counts import counted
from zetcd.gateway.http1.exchange import Exchange, Handler, Request
from zetcd.gateway.link import Link
from zetcd.gateway.port import Server, listen
from zetcd.gateway.rpc import Methods
from zetcd.gateway.services import methods

PINGS_PER_TIMEOUT = 4
API_MARGIN_S = 2.0
"""By which we wait longer for api than it waits itself, so that its own answer arrives."""
API_PATHS = ("/v3/", "/v3beta/")
METRICS_PATHS = ("/metrics", "/health", "/livez", "/readyz")
"""What ``--listen-metrics-urls`` serves, as etcd does."""


class Notifier(Protocol):
    """As `zetcd.host.process.Notifier`."""

    @property
    def watchdog_ms(self) -> int:
        """0: nobody watches."""

    def ready(self, status: str = "") -> None:
        """The process serves."""

    def stopping(self) -> None:
        """It has begun to end."""

    def watchdog(self) -> None:
        """The loop is alive."""


class Log(Protocol):
    """As `zetcd.host.logs.Logger`."""

    def info(self, msg: str, **fields: Any) -> None:
        """Milestones."""

    def error(self, msg: str, **fields: Any) -> None:
        """Something that must be looked at."""


@dataclass(frozen=True, slots=True)
class Listener:
    """One bound and listening socket. serves: "all", "http" (no gRPC) or "metrics"."""

    url: str
    socket: socket.socket
    serves: str

    @property
    def encrypted(self) -> bool:
        """Whether TLS is spoken there."""
        return self.url.startswith("https://")


def run(settings: Settings, listeners: Sequence[Listener], notifier: Notifier, journal: Log) -> None:
    """Serve until SIGTERM or SIGINT. Raises Refusal for TLS files that are none."""
    asyncio.run(_serve(settings, listeners, notifier, journal))


async def _serve(settings: Settings, listeners: Sequence[Listener], notifier: Notifier, journal: Log) -> None:
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _loop, context: _tell(journal, context))
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    tls = tls_context(_with_files(settings)) if any(one.encrypted for one in listeners) else None
    link = Link(
        [f"ipc://run/client-{number}.sock" for number in range(settings.api_processes)],
        timeout_s=settings.request_timeout_ms / 1000 + API_MARGIN_S,
    )
    plain = methods(link)
    services, counts = counted(plain)
    traffic = Traffic()
    # One for all listeners, so that the metrics of each have the checks of all; and, as in etcd, a check is no call.
    health = Health(plain)

    def http(listener: Listener) -> Handler:
        return handler(
            services,
            link,
            cors=settings.cors,
            host_whitelist=settings.host_whitelist,
            secure=listener.encrypted,
            max_request_bytes=settings.max_request_bytes,
            counters=[counts, traffic.series],
            health=health,
        )

    servers = [await _listen(settings, one, tls, services, http(one), traffic=traffic) for one in listeners]
    _watch(loop, notifier)
    # Everything built so far lives as long as the process: keep it out of every later collection.
    gc.collect()
    gc.freeze()
    if not listeners:
        journal.info("no client URL is http:// or https://: nothing to serve here")
    notifier.ready(", ".join(one.url for one in listeners))
    await stop.wait()
    notifier.stopping()
    await asyncio.gather(*(server.close(limits.GATEWAY_GRACE_MS / 1000) for server in servers))
    link.close()


async def _listen(
    settings: Settings,
    listener: Listener,
    tls: ssl.SSLContext | None,
    services: Methods,
    http: Handler,
    *,
    traffic: Traffic,
) -> Server:
    if listener.serves == "metrics":
        http = _only(http, lambda path: path.startswith(METRICS_PATHS))
    elif not settings.enable_grpc_gateway:
        http = _only(http, lambda path: not path.startswith(API_PATHS))
    return await listen(
        [listener.socket],
        services if listener.serves == "all" else None,
        http,
        tls=tls if listener.encrypted else None,
        client_name=settings.gateway_tls.client_name if listener.encrypted else "",
        policy=Policy(
            min(settings.max_concurrent_streams, limits.GATEWAY_STREAMS_MAX),
            settings.grpc_keepalive_min_time_ms / 1000,
            settings.grpc_keepalive_interval_ms / 1000,
            settings.grpc_keepalive_timeout_ms / 1000,
        ),
        message_bytes_max=settings.max_request_bytes + limits.GRPC_OVERHEAD_BYTES,
        traffic=traffic,
    )


def _only(http: Handler, served: Callable[[str], bool]) -> Handler:
    """http for the paths that are served, 404 for all others."""

    def handle(request: Request, exchange: Exchange) -> None:
        if served(unquote(request.path)):
            http(request, exchange)
        else:
            exchange.respond(404, [("Content-Type", "text/plain; charset=utf-8")], b"404 page not found\n")

    return handle


def _tell(journal: Log, context: dict[str, Any]) -> None:
    """What asyncio would print: a fault of ours in one callback. Failed TLS handshakes are not told."""
    error = context.get("exception")
    trace = "".join(traceback.format_exception(error)) if error is not None else ""
    journal.error(context.get("message", ""), trace=trace)


def _watch(loop: asyncio.AbstractEventLoop, notifier: Notifier) -> None:
    """Ping from the loop whose hang is to be noticed."""
    if not notifier.watchdog_ms:
        return
    every = notifier.watchdog_ms / 1000 / PINGS_PER_TIMEOUT

    def ping() -> None:
        notifier.watchdog()
        loop.call_later(every, ping)

    ping()


_VERSIONS = {"": None, "TLS1.2": ssl.TLSVersion.TLSv1_2, "TLS1.3": ssl.TLSVersion.TLSv1_3}


def tls_context(tls: Tls) -> ssl.SSLContext:
    """As etcd sets it up: a CA means that clients must show a certificate of it. Raises Refusal."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_alpn_protocols(["h2", "http/1.1"])
    context.minimum_version = _VERSIONS[tls.min_version] or ssl.TLSVersion.TLSv1_2
    context.maximum_version = _VERSIONS[tls.max_version] or ssl.TLSVersion.MAXIMUM_SUPPORTED
    flag, name = "--cert-file", tls.cert_file
    if tls.cipher_suites:
        _choose(context, tls.cipher_suites)
    try:
        context.load_cert_chain(tls.cert_file, tls.key_file)
        flag, name = "--trusted-ca-file", tls.trusted_ca_file
        if name:
            context.load_verify_locations(name)
            context.verify_mode = ssl.CERT_REQUIRED
        flag, name = "--client-crl-file", tls.client_crl_file
        if name:
            context.load_verify_locations(name)
            context.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF
    except (ssl.SSLError, OSError) as error:
        raise Refusal(f"{flag}: {name}: {error.strerror or error}") from error
    return context


def _with_files(settings: Settings) -> Tls:
    """What TLS is set up from. With --auto-tls certificate and key are where etcd keeps such."""
    tls = settings.gateway_tls
    if not tls.self_signed_for:
        return tls
    directory = Path(settings.data_dir) / "fixtures" / "client"
    cert, key = self_signed.ensure(directory, tls.self_signed_for, tls.self_signed_years)
    return replace(tls, cert_file=cert, key_file=key)


def _choose(context: ssl.SSLContext, suites: Sequence[str]) -> None:
    """These and no others for TLS 1.2. OpenSSL leaves out in silence what it was built without, or holds for unsafe."""
    with contextlib.suppress(ssl.SSLError):  # none of them is left
        context.set_ciphers(ciphers.openssl(suites))
    have = {each["name"] for each in context.get_ciphers()}
    for name in suites:
        if name in ciphers.OPENSSL and ciphers.OPENSSL[name] not in have:
            raise Refusal(f"--cipher-suites: {name}: {ssl.OPENSSL_VERSION} here does not offer it; leave it out")
