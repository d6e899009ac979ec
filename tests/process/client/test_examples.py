"""The two clients of at most 25 lines, each in its own language, against a real member."""

import ast
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.process.member import ROOT, Member

EXAMPLES = ROOT / "examples"
PACKAGES = ["zeromq@6.8.0", "@msgpack/msgpack@3.1.2"]

PYTHON = """
import json, sys
from client import Client

client = Client(sys.argv[1])
client.call("put", key="language", value="python")
found = client.call("range", key=b"language")["kvs"][0]
try:
    client.call("lease_revoke", ID=77)
except RuntimeError as error:
    message = str(error)
seen = []
for event in client.watch("language", found["mod_revision"]):
    seen.append(event["kv"]["value"].decode())
    if len(seen) == 3:
        break
    client.call("batch", requests=[{"op": "put", "key": "language", "value": f"again {len(seen)}"}])
print(json.dumps({"value": found["value"].decode(), "error": message, "seen": seen}))
"""

NODE = """
import { Client } from "./client.mjs";

const client = new Client(process.argv[2]), text = (bytes) => new TextDecoder().decode(bytes);
await client.call("put", { key: "language", value: "node" });
const found = (await client.call("range", { key: Buffer.from("language") })).kvs[0];
let error;
await client.call("lease_revoke", { ID: 77n }).catch((refused) => (error = refused.message));
const seen = [];
for await (const event of client.watch("language", found.mod_revision)) {
  seen.push(text(event.kv.value));
  if (seen.length == 3) break;
  await client.call("batch", { requests: [{ op: "put", key: "language", value: `again ${seen.length}` }] });
}
console.log(JSON.stringify({ value: text(found.value), error, seen }));
process.exit(0);
"""


@pytest.fixture(scope="module")
def member(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Member]:
    with Member(tmp_path_factory.mktemp("member")) as one:
        yield one


def outcome(command: list[str], directory: Path) -> dict[str, object]:
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    result: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return result


def expected(language: str) -> dict[str, object]:
    return {
        "value": language,
        "error": "etcdserver: requested lease not found",
        "seen": [language, "again 1", "again 2"],
    }


def test_they_are_short_and_use_nothing_of_ours() -> None:
    for name in ("client.py", "client.mjs"):
        assert len((EXAMPLES / name).read_text().splitlines()) <= 25, name
    tree = ast.parse((EXAMPLES / "client.py").read_text())
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    assert imported == {"msgpack", "zmq"}
    script = (EXAMPLES / "client.mjs").read_text()
    assert set(re.findall(r'from "(.+)"', script)) == {"@msgpack/msgpack", "zeromq"}


def test_python(member: Member, tmp_path: Path) -> None:
    shutil.copy(EXAMPLES / "client.py", tmp_path)
    (tmp_path / "tour.py").write_text(PYTHON)
    assert outcome([sys.executable, "tour.py", member.endpoint], tmp_path) == expected("python")


@pytest.mark.skipif(shutil.which("node") is None or shutil.which("npm") is None, reason="no node on this machine")
@pytest.mark.timeout(300)
def test_node(member: Member, tmp_path: Path) -> None:
    shutil.copy(EXAMPLES / "client.mjs", tmp_path)
    (tmp_path / "tour.mjs").write_text(NODE)
    install = ["npm", "install", "--prefix", str(tmp_path), "--no-audit", "--no-fund", "--ignore-scripts", *PACKAGES]
    done = subprocess.run(install, cwd=tmp_path, capture_output=True, text=True, timeout=240, check=False)
    if re.search(r"ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ETIMEDOUT", done.stderr):
        pytest.skip("npm cannot reach its registry from here")
    assert done.returncode == 0, done.stderr
    assert outcome(["node", "tour.mjs", member.endpoint], tmp_path) == expected("node")
