"""One HTTP/1.1 request in, its answer out: the JSON gateway, health, version, metrics."""

from collections.abc import Callable, Iterable
from functools import partial
from urllib.parse import unquote

from zetcd.base.limits import GRPC_OVERHEAD_BYTES, REQUEST_BYTES_DEFAULT
from zetcd.gateway.http import version
from zetcd.gateway.http.access import Access
from zetcd.gateway.http.answers import JSON, Exchange, Headers, Request, respond_only, respond_text
from zetcd.gateway.http.calls import start_streaming, start_unary
from zetcd.gateway.http.health import CHECKS, Health
from zetcd.gateway.http.metrics import Metrics, Series, Source
from zetcd.gateway.http.paths import PATHS
from zetcd.gateway.http.websocket import start_socket
from zetcd.gateway.rpc import Method, Methods, Unary

Handler = Callable[[Request, Exchange], None]
Endpoint = Callable[[Request, Exchange, Headers], None]
V3 = "/v3/"
V3BETA = "/v3beta/"


def handler(
    methods: Methods,
    source: Source,
    *,
    cors: Iterable[str] = ("*",),
    host_whitelist: Iterable[str] = ("*",),
    secure: bool = False,
    max_request_bytes: int = REQUEST_BYTES_DEFAULT,
    counters: Iterable[Callable[[], Series]] = (),
    health: Health | None = None,
) -> Handler:
    """What answers the requests of one listener.

    source: the link to the ZeroMQ API. secure: the listener speaks TLS, so no host name is looked at. counters: series
    for /metrics that the gateway counts itself. health: shared with other listeners of the process, so that each one's
    /metrics has the checks of all. The others are etcd's flags.
    """
    access = Access(cors, host_whitelist, secure)
    endpoints = _endpoints(health or Health(methods), Metrics(source, counters))
    calls: dict[str, Method] = {path: methods[name] for path, name in PATHS.items() if name in methods}
    bytes_max = max_request_bytes + GRPC_OVERHEAD_BYTES

    def handle(request: Request, exchange: Exchange) -> None:
        path = request.path
        if "%" in path:
            path = unquote(path)
        if path.startswith(V3BETA):
            path = V3 + path.removeprefix(V3BETA)
        refused = access.refused_host(request.headers)
        if refused is not None:
            respond_text(exchange, 421, _MISDIRECTED.format(refused), [])
            return
        headers = access.cors(request.headers)
        method = calls.get(path)
        if request.upgrade is not None and path.startswith(V3):
            if access.allows_page(request.headers):
                start_socket(method, request, exchange, headers, bytes_max)
            else:
                respond_text(exchange, 403, "Forbidden", headers)
        elif method is not None and request.method == "POST":
            if isinstance(method, Unary):
                start_unary(method, request, exchange, headers, bytes_max)
            else:
                start_streaming(method, request, exchange, headers, bytes_max)
        elif request.method == "OPTIONS":
            exchange.respond(200, headers, b"")
        elif method is not None:
            respond_text(exchange, 405, "Method Not Allowed", headers)
        elif path in endpoints:
            endpoints[path](request, exchange, headers)
        else:
            respond_text(exchange, 404, "Not Found" if path.startswith(V3) else "404 page not found", headers)

    return handle


_MISDIRECTED = """\
This server does not answer to the host name {0!r}.

Without TLS only the names of --host-whitelist are served, so that no web page can reach it under a name of its own
(DNS rebinding). Either use https, or allow the name:
    --host-whitelist={0}"""


def _endpoints(health: Health, metrics: Metrics) -> dict[str, Endpoint]:
    found: dict[str, Endpoint] = {
        "/version": _on_version,
        "/health": health.on_health,
        "/metrics": partial(metrics.on_request, health),
        "/debug/vars": metrics.on_debug,
    }
    for path, checks in CHECKS.items():
        found[f"/{path}"] = partial(health.on_probe, path, "")
        for check in checks:
            found[f"/{path}/{check}"] = partial(health.on_probe, path, check)
    return found


def _on_version(request: Request, exchange: Exchange, cors: Headers) -> None:
    if request.method == "GET":
        exchange.respond(200, cors + JSON, version.body())
    else:
        respond_only(exchange, "GET", cors)
