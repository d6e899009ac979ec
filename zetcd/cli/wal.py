"""`zetcdctl wal dump|verify DIR`: look at a member's log offline. Nothing is ever changed, not even a lock is taken.

DIR is a data directory, a member directory or the directory of the segments itself. dump prints every record with its
offset; verify reads the log as recovery would and ends with 1 where a start would refuse, or would cut what may have
been acknowledged. A tail that an unfinished write left behind is named but is no damage. With `-w json`, dump prints
one object a line and verify one object. On the log of a running member the last turn may look unfinished.
"""

import argparse
import base64
import json
import os
import sys
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, NoReturn, Protocol

from msgspec import Struct

from zetcd.base.errors import Fatal, WireError
from zetcd.host.files import HostFiles
from zetcd.wal import frame
from zetcd.wal.frame import RecordType
from zetcd.wal.recovery import examine
from zetcd.wal.segments import Record, SegmentReader, segment_names
from zetcd.wire.entry import Entry, decode_entries

Fields = dict[str, Any]


class Subparsers(Protocol):
    """What `argparse.ArgumentParser.add_subparsers` returns."""

    def add_parser(self, name: str, **options: Any) -> argparse.ArgumentParser:
        """A parser for one command."""


def add_parser(subparsers: Subparsers) -> None:
    """Add `wal` with its two commands; the parsed arguments carry `run`, which takes them and returns the exit code."""
    parser = subparsers.add_parser("wal", help="look at a member's log offline; changes nothing")
    _add_commands(parser)


def main(argv: Sequence[str]) -> int:
    """argv as in `["dump", "DIR", "--entries"]`; the exit code."""
    parser = argparse.ArgumentParser(prog="zetcdctl wal", description=(__doc__ or "").partition("\n\n")[0])
    _add_commands(parser)
    arguments = parser.parse_args(list(argv))
    try:
        code: int = arguments.run(arguments)
        sys.stdout.flush()
    except Fatal as error:
        sys.stderr.write(f"Error: {error}\n")
        return 1
    except BrokenPipeError:  # `| head` has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 0
    return code


def _add_commands(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(required=True, metavar="dump|verify")
    dump = commands.add_parser("dump", help="print every record: offset, type, index range, term")
    verify = commands.add_parser("verify", help="check the log; exits with 1 and names file and offset of damage")
    for command, run in ((dump, _dump), (verify, _verify)):
        command.add_argument("directory", metavar="DIR", help="data, member or wal directory")
        command.add_argument("-w", "--write-out", choices=["simple", "json"], default="simple")
        command.set_defaults(run=run)
    dump.add_argument("--entries", action="store_true", help="also print the commands inside the blocks")


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")


def _wal_directory(given: str) -> str:
    for candidate in (f"{given}/member/wal", f"{given}/wal", given):
        if os.path.isdir(candidate):  # noqa: PTH112 - the port's paths are plain strings
            return candidate
    raise Fatal(f"{given}: no such directory")


# -- dump --------------------------------------------------------------------------------------------------------------
def _dump(arguments: argparse.Namespace) -> int:
    port = HostFiles()
    directory = _wal_directory(arguments.directory)
    show = _show_json if arguments.write_out == "json" else _show_text
    names = segment_names(port, directory)
    if not names:
        raise Fatal(f"{directory}: no log segment")
    sound = True
    for name in names:
        try:
            reader = SegmentReader(port, f"{directory}/{name}")
        except Fatal as error:
            show({"segment": name, "crc": "bad", "error": str(error)})
            sound = False
            continue
        show({"segment": name, "bytes": reader.size, **_metadata(reader)})
        for record in reader.records():
            show(_record(record))
            if arguments.entries and record.type is RecordType.BLOCK:
                for fields in _entries(record.body):
                    show(fields)
        if reader.flaw:
            show({"offset": reader.end, "crc": "bad", "error": reader.flaw})
            sound = False
    return 0 if sound else 1


def _metadata(reader: SegmentReader) -> Fields:
    metadata = reader.metadata._asdict()
    for name in ("cluster", "member", "previous_crc"):
        metadata[name] = f"{metadata[name]:x}"
    return metadata


def _record(record: Record) -> Fields:
    fields: Fields = {"offset": record.offset, "type": record.type.name.lower(), "crc": "ok", "synced": record.synced}
    if record.type is RecordType.BLOCK:
        block = frame.decode_block(record.body)
        fields |= {
            "first": block.first,
            "last": block.last,
            "term": block.term,
            "kind": block.kind,
            "bytes": len(block.data),
        }
    elif record.type is RecordType.HARD_STATE:
        state = frame.decode_hard_state(record.body)
        fields |= {"term": state.term, "vote": f"{state.vote:x}", "commit": state.commit}
    elif record.type is RecordType.MARK:
        mark = frame.decode_mark(record.body)
        fields |= {"index": mark.index, "term": mark.term, "flags": mark.flags}
    return fields


def _entries(body: bytes) -> Iterator[Fields]:
    block = frame.decode_block(body)
    try:
        entries = decode_entries(block.count, block.data)
    except WireError as error:
        yield {"error": str(error)}
        return
    for index, entry in enumerate(entries, block.first):
        yield {"index": index, **_entry(entry)}


def _entry(entry: Entry) -> Fields:
    fields: Fields = {"origin": entry.origin, "sequence": entry.sequence}
    if entry.user:
        fields |= {"user": entry.user, "auth_revision": entry.auth_revision}
    return fields | {"command": type(entry.command).__name__, "arguments": _plain(entry.command)}


def _plain(value: Any) -> Any:
    if isinstance(value, Struct):
        return {name: _plain(getattr(value, name)) for name in value.__struct_fields__}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def _show_json(fields: Fields) -> None:
    _say(json.dumps(fields, default=lambda value: base64.b64encode(value).decode()))


def _show_text(fields: Fields) -> None:
    if "segment" in fields:
        _say(" ".join(f"{name}={value}" if name != "segment" else value for name, value in fields.items()))
        return
    indent = "      " if "index" in fields and "command" in fields else "  "
    words = [f"{fields.pop('offset'):>10}"] if "offset" in fields else []
    words += [f"{name}={value}" for name, value in fields.items()]
    _say(indent + " ".join(words))


# -- verify ------------------------------------------------------------------------------------------------------------
def _verify(arguments: argparse.Namespace) -> int:
    port = HostFiles()
    directory = _wal_directory(arguments.directory)
    as_json = arguments.write_out == "json"
    try:
        found = _check(port, directory)
    except Fatal as error:
        return _refuse(str(error), as_json=as_json)
    cut = found["cut"]
    if as_json:
        _say(json.dumps({"ok": not (cut and cut["suspect"]), **found}))
    else:
        if cut:
            what = "DAMAGED, perhaps acknowledged" if cut["suspect"] else "unfinished write, the next start cuts it"
            _say(f"{cut['file']}: offset {cut['offset']}: {what}: {cut['reason']} ({cut['bytes_cut']} bytes)")
        _say(
            f"{directory}: {found['segments']} segments, entries {found['first']}-{found['last']}, "
            f"term {found['term']}, commit {found['commit']}, cluster {found['cluster']}, member {found['member']}"
        )
    return 1 if cut and cut["suspect"] else 0


def _refuse(error: str, *, as_json: bool) -> int:
    if as_json:
        _say(json.dumps({"ok": False, "error": error}))
    else:
        _say(f"DAMAGED: {error}")
    return 1


def _check(port: HostFiles, directory: str) -> Fields:
    """Read all that recovery would read. Raises Fatal where it would refuse."""
    examined = examine(port, directory)
    if examined is None:
        raise Fatal(f"{directory}: no log segment")
    last, replay = examined.last, examined.replay
    for block in replay.blocks:
        try:
            decode_entries(block.count, block.data)
        except WireError as error:
            raise Fatal(f"{last.path}: entries {block.first}-{block.last} do not decode: {error}") from None
    for former, latter in pairwise(replay.blocks):
        assert former.last + 1 == latter.first
    cut = examined.cut
    return {
        "directory": directory,
        "segments": len(examined.earlier) + 1,
        "first": replay.base.index + 1,
        "last": replay.last_index,
        "term": replay.hard_state.term,
        "commit": replay.hard_state.commit,
        "cluster": f"{last.metadata.cluster:x}",
        "member": f"{last.metadata.member:x}",
        "cut": None
        if cut is None
        else {
            "file": cut.file,
            "offset": cut.offset,
            "reason": cut.reason,
            "bytes_cut": cut.bytes_cut,
            "suspect": cut.suspect,
        },
    }


def run() -> NoReturn:
    """Entry for `python -m zetcd.cli.wal`."""
    sys.exit(main(sys.argv[1:]))


if __name__ == "__main__":
    run()
