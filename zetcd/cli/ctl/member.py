"""member add, list, promote, remove, update, and move-leader. `member replace` is in `replace`."""

from typing import Any

from zetcd.cli.ctl import golang
from zetcd.cli.ctl.console import Console
from zetcd.cli.ctl.exits import BAD_ARGS, ERROR, Exit
from zetcd.cluster.membership import complaint_of
from zetcd.wire.client import (
    MemberAddRequest,
    MemberListRequest,
    MemberPromoteRequest,
    MemberRemoveRequest,
    MemberUpdateRequest,
    MoveLeaderRequest,
    StatusRequest,
)


def show(console: Console) -> None:
    """The member list command."""
    console.show("members", console.call(MemberListRequest()))


def add(console: Console) -> None:
    """The member add command; with -w simple also what the new member is to be started with."""
    name = added_name(console)
    urls = peer_urls(console)
    check_urls(console, urls)
    reply = console.call(MemberAddRequest(urls, console.parsed.on("learner")))
    console.show("member_added", reply)
    if console.format == "simple":
        console.line("")
        for line in start_settings(reply["members"], reply["member"]["ID"], name, urls):
            console.line(line)


def remove(console: Console) -> None:
    """The member remove command."""
    member = member_id(console)
    console.show("member_removed", console.call(MemberRemoveRequest(member)) | {"ID": member})


def update(console: Console) -> None:
    """The member update command."""
    member = member_id(console)
    urls = peer_urls(console)
    check_urls(console, urls)
    console.show("member_updated", console.call(MemberUpdateRequest(member, urls)) | {"ID": member})


def promote(console: Console) -> None:
    """The member promote command."""
    member = member_id(console)
    console.show("member_promoted", console.call(MemberPromoteRequest(member)) | {"ID": member})


def move_leader(console: Console) -> None:
    """The move-leader command: asks the endpoints which of them leads, and that one to hand over."""
    if len(console.args) != 1:
        raise Exit(BAD_ARGS, "move-leader command needs 1 argument")
    target = _hexadecimal(console.args[0], "{}")
    for endpoint in console.endpoints:
        status = console.call(StatusRequest(), endpoint=endpoint)
        leader = status.get("leader", 0)
        if leader and leader == status["header"].get("member_id", 0):
            reply = console.call(MoveLeaderRequest(target), endpoint=endpoint)
            console.show("leader_moved", {**reply, "from": leader, "to": target})
            return
    raise Exit(BAD_ARGS, f"no leader endpoint given at [{' '.join(console.endpoints)}]")


# -- pieces that replace uses, too -----------------------------------------------------------------------------------
def added_name(console: Console, first: int = 0) -> str:
    """The name argument. Raises Exit."""
    arguments = console.args[first:]
    if not arguments:
        raise Exit(BAD_ARGS, "member name not provided")
    if len(arguments) > 1:
        meant = [f", did you mean --peer-urls={word}" for word in arguments if word.lower().startswith(("http", "tcp"))]
        raise Exit(BAD_ARGS, "too many arguments" + "".join(meant))
    return arguments[0]


def peer_urls(console: Console) -> list[str]:
    """--peer-urls. Raises Exit where it is empty."""
    text = console.parsed.text("peer-urls")
    if not text:
        raise Exit(BAD_ARGS, "member peer urls not provided")
    return text.split(",")


def check_urls(console: Console, urls: list[str]) -> None:
    """Raises Exit with what is wrong with them, as etcd's client does before it asks."""
    console.check_format()
    complaint = complaint_of(urls)
    if complaint:
        raise Exit(ERROR, complaint)


def member_id(console: Console) -> int:
    """The one argument, a member id in hexadecimal. Raises Exit."""
    if len(console.args) != 1:
        raise Exit(BAD_ARGS, "member ID is not provided")
    return identified(console.args[0])


def identified(text: str) -> int:
    """A member id in hexadecimal. Raises Exit."""
    return _hexadecimal(text, "bad member ID arg ({}), expecting ID in Hex")


def _hexadecimal(text: str, frame: str) -> int:
    try:
        return golang.parse_int(text, 16, unsigned=True)
    except ValueError as error:
        raise Exit(BAD_ARGS, frame.format(error)) from None


def start_settings(members: list[dict[str, Any]], added: int, name: str, urls: list[str]) -> list[str]:
    """The environment that the added member is to be started with, as shell assignments."""
    cluster = [
        f"{name if member['ID'] == added else member.get('name', '')}={url}"
        for member in members
        for url in member.get("peerURLs", ())
    ]
    settings = {
        "NAME": name,
        "INITIAL_CLUSTER": ",".join(cluster),
        "INITIAL_ADVERTISE_PEER_URLS": ",".join(urls),
        "INITIAL_CLUSTER_STATE": "existing",
    }
    return [f"ZETCD_{key}={golang.quote(value.encode('utf-8', 'surrogateescape'))}" for key, value in settings.items()]
