"""What the sources may not contain. Each test returns the list of offenders, so one run shows them all."""

import ast
import re
import subprocess
from collections.abc import Iterator

from tests.tidy.sources import BELOW_HOST, ROOT, Source, called, everything, imported, server

VAGUE = re.compile(r"(^|_)(utils?|helpers?|common|managers?|misc)(_|$)", re.IGNORECASE)
SWALLOWS = {"Exception", "BaseException"}


def test_names_are_nouns_of_the_domain() -> None:
    bad = [source.path for source in everything() for part in source.path[:-3].split("/") if VAGUE.search(part)]
    bad += [
        f"{source.at(node)} {node.name}"
        for source in server()
        for node in ast.walk(source.tree)
        if isinstance(node, ast.ClassDef) and re.search(r"(Utils?|Helper|Common|Manager)s?$", node.name)
    ]
    assert not bad


def test_print_only_in_the_command_line() -> None:
    bad = [
        source.at(node)
        for source in server()
        if source.room != "cli"
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Call) and called(node) == "print"
    ]
    assert not bad


def test_the_product_never_sleeps() -> None:
    """A reactor waits in its poll, a client on an event; a sleep is a guess."""
    bad = [
        source.at(node)
        for source in server()
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Call) and called(node) in {"time.sleep", "sleep"}
    ]
    assert not bad


def test_broad_excepts_give_their_reason() -> None:
    bad = []
    for source in server():
        for node in ast.walk(source.tree):
            if not isinstance(node, ast.ExceptHandler):
                continue
            names = {item.id for item in ast.walk(node.type) if isinstance(item, ast.Name)} if node.type else SWALLOWS
            if names & SWALLOWS and len(source.comment(node.lineno).replace("noqa: BLE001", "")) < 10:
                bad.append(source.at(node))
    assert not bad


def test_nothing_is_left_for_later() -> None:
    mark = re.compile(r"\b(" + "|".join(("TO" + "DO", "FIX" + "ME", "XX" + "X")) + r")\b")
    bad = [
        f"{source.path}:{number}"
        for source in everything()
        for number, line in enumerate(source.lines, 1)
        if mark.search(line)
    ]
    assert not bad


def test_no_bytes_become_code() -> None:
    banned = {"eval", "exec", "pickle.loads", "pickle.load", "marshal.loads", "yaml.load", "os.system"}
    bad = [
        source.at(node)
        for source in server()
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Call) and (called(node) in banned or called(node).endswith(".recv_pyobj"))
    ]
    assert not bad


def test_plyvel_is_named_by_one_module() -> None:
    named = {source.path for source in server() for name, _ in imported(source) if name.split(".")[0] == "plyvel"}
    assert named <= {"zetcd/host/leveldb.py"}


def test_dice_below_the_host_floor_are_handed_in() -> None:
    """`random.Random(seed)` may be given and held; the module's global functions may not be called."""
    bad = [
        source.at(node)
        for source in server()
        if source.room in BELOW_HOST
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Call) and called(node).startswith("random.") and called(node) != "random.Random"
    ]
    assert not bad


def test_no_identity_or_hash_below_the_host_floor() -> None:
    """`id()` and `hash()` of str or bytes differ from run to run; the same seed must give the same trace."""
    bad = [
        source.at(node)
        for source in server()
        if source.room in BELOW_HOST
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Call) and called(node) in {"id", "hash"}
    ]
    assert not bad


def test_no_set_is_iterated_below_the_host_floor() -> None:
    bad = [where for source in server() if source.room in BELOW_HOST for where in _set_iterations(source)]
    assert not bad, "order of a set differs from run to run; sort it, or keep a dict"


def _set_iterations(source: Source) -> Iterator[str]:
    sets = set(_set_names(source))
    loops = (ast.For, ast.comprehension)
    for node in ast.walk(source.tree):
        taken: list[ast.expr] = [node.iter] if isinstance(node, loops) else []
        if isinstance(node, ast.Call) and called(node) in {"list", "tuple", "enumerate", "iter"}:
            taken = node.args[:1]
        for item in taken:
            if _is_set(item, sets):
                yield source.at(item)


def _set_names(source: Source) -> Iterator[str]:
    """Names of variables and attributes that are sets, as far as annotations and assignments of this file say."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.AnnAssign | ast.arg) and node.annotation is not None:
            text = ast.unparse(node.annotation)
            if re.match(r"(set|frozenset|Set|AbstractSet)\b", text):
                yield node.arg if isinstance(node, ast.arg) else _last_name(node.target)
        elif isinstance(node, ast.Assign) and _is_set(node.value, set()):
            for target in node.targets:
                yield _last_name(target)


def _last_name(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def _is_set(node: ast.expr, sets: set[str]) -> bool:
    if isinstance(node, ast.Set | ast.SetComp):
        return True
    if isinstance(node, ast.Call):
        return called(node) in {"set", "frozenset"}
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr | ast.BitAnd | ast.Sub | ast.BitXor):
        return _is_set(node.left, sets) or _is_set(node.right, sets)
    return isinstance(node, ast.Name | ast.Attribute) and _last_name(node) in sets


def test_no_path_of_one_machine() -> None:
    """Tracked text names no absolute path that exists on one developer's machine only."""
    place = re.compile(r"(?<![\w/.])/(" + "|".join(("ho" + "me", "ro" + "ot", "wo" + "rk")) + r")/[a-z]")
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False).stdout.split(
        "\n"
    )
    bad = []
    for name in filter(None, listed):
        path = ROOT / name
        if path.suffix in {".py", ".md", ".toml", ".sh", ".js", ".go", ".service", ""} and path.is_file():
            text = path.read_text(errors="replace")
            bad += [f"{name}:{number}" for number, line in enumerate(text.splitlines(), 1) if place.search(line)]
    assert not bad
