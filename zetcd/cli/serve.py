"""`zetcd`: runs one member, all its processes under a supervisor.

Exit codes: after a clean stop by a signal that signal again (a shell shows 143 or 130), as etcd does it, 1 for a wrong
setting or a directory or port that is taken, 2 for a command line that is none, 78 where a process refused to start,
70 where restarts did not help.
"""

import sys
from collections.abc import Sequence

import zetcd
from zetcd.base.errors import Fatal, Refusal
from zetcd.base.settings import Settings
from zetcd.host import logs
from zetcd.host.process import EX_FATAL, die_with_parent, end_by, entitle
from zetcd.node import bootstrap
from zetcd.node.children import actor_command
from zetcd.node.config import load
from zetcd.node.sources import UsageError
from zetcd.node.supervisor import Log, Supervisor
from zetcd.node.usage import USAGE, help_text

EX_REFUSED = 1
EX_USAGE = 2
_LATER = {"gateway": "the TCP gateway", "grpc-proxy": "the gRPC proxy"}


def main(argv: Sequence[str] | None = None) -> int:
    """The program; returns its exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    if words[:1] == ["actor"]:
        from zetcd.cli.actor import main as actor  # a process of its own kind

        return actor(words[1:])
    if words and words[0] in _LATER:
        sys.stderr.write(f"zetcd: {_LATER[words[0]]} is not part of this release\n")
        return EX_REFUSED
    try:
        if words[:1] == ["local-cluster"]:
            from zetcd.node.local_cluster import main as local_cluster  # several members, each a program of its own

            return local_cluster(words[1:])
        config = load(words)
        if config.wants:
            _say(help_text() if config.wants == "help" else version_text())
            return 0
        return serve(config.settings, list(config.warnings))
    except UsageError as error:
        sys.stderr.write(f"zetcd: {error}\n{USAGE}")
        return EX_USAGE
    except Refusal as refusal:
        sys.stderr.write(f"zetcd: {refusal}\n")
        return EX_REFUSED
    except Fatal as fatal:
        sys.stderr.write(f"zetcd: {fatal}\n")
        return EX_FATAL


def serve(settings: Settings, warnings: list[str]) -> int:
    """Run the member until it is told to stop; the exit code."""
    entitle("supervisor")
    die_with_parent()
    warnings += bootstrap.make_directories(settings)
    claims = bootstrap.claim_member(settings)
    journal = logs.configure(settings, "supervisor")
    for warning in warnings:
        journal.warn(warning)
    try:
        settings = identify(settings)
        supervisor = Supervisor(settings, journal, actor_command(settings), lambda: announce(settings, journal))
        code = supervisor.run()
    finally:
        claims.release()
    if supervisor.stopped_by is not None:
        end_by(supervisor.stopped_by)
    return code


def announce(settings: Settings, journal: Log) -> None:
    """Say that the member serves: in the log in etcd's words, which tools that start etcd wait for (of 3.3 "listening
    for client requests on", of 3.4 and 3.5 "ready to serve client requests"), and in one line of our own."""
    for url in settings.listen_peer_urls:
        journal.info(f"listening for peers on {_address(url)}")
    journal.info("ready to serve client requests")
    for url in settings.gateway_urls:
        journal.info(f"listening for client requests on {_address(url)}")
        if url.startswith("https://"):
            journal.info(f"serving client requests on {_address(url)}")
        else:
            journal.info(f"serving insecure client requests on {_address(url)}, this is strongly discouraged!")
    logs.say(1, ready_text(settings))


def _address(url: str) -> str:
    return url.partition("://")[2]


def identify(settings: Settings) -> Settings:
    """With the ids of a running cluster where the data directory is new and there is one. Raises Refusal."""
    from zetcd.node import joining

    if not joining.is_fresh(settings):
        return settings
    from zetcd.host.peer_query import ask_members  # ZeroMQ, which the supervisor needs for nothing else

    return joining.find_identity(settings, ask_members)


def ready_text(settings: Settings) -> str:
    """The one line that says that the member serves, and where."""
    clients = ",".join(settings.listen_client_urls)
    peers = ",".join(settings.listen_peer_urls)
    return f"zetcd: member {settings.name} is ready: clients {clients}, peers {peers}, data {settings.data_dir}\n"


def _say(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def version_text() -> str:
    """In the shape of etcd's; the second line is what clients are told."""
    # Loaded for these lines alone.
    import platform

    import zmq

    from zetcd.gateway.http.version import ETCD_VERSION

    return (
        f"zetcd Version: {zetcd.__version__}\n"
        f"API Version: {ETCD_VERSION}\n"
        f"Python Version: {platform.python_version()}\n"
        f"ZeroMQ Version: {zmq.zmq_version()}\n"
        f"OS/Arch: {platform.system().lower()}/{platform.machine()}\n"
    )


if __name__ == "__main__":
    sys.exit(main())
