"""Where settings come from: the command line, the environment, or one file; by etcd's rules.

Flags are Go flags (``-name x``, ``--name=x``; a boolean alone means true). ``--data-dir`` is ZETCD_DATA_DIR, and
ETCD_DATA_DIR as well. A setting given twice, by flag and environment or by both variables, is refused, because nobody
can tell which one was meant. With ``--config-file`` the file is everything: other flags and
the environment are ignored.
"""

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from zetcd.base.errors import Refusal
from zetcd.node import values
from zetcd.node.flags import FLAGS, RENAMED, Flag

PREFIXES = ("ZETCD_", "ETCD_")
"""Of environment variables: ours, and etcd's, so that a unit or a manifest of etcd's works as it is."""
_OF_TOOLS = ("ETCD_UNSUPPORTED_ARCH",)


class UsageError(Exception):
    """A command line that is none: the program shows its usage and exits with 2."""


@dataclass(slots=True)
class Given:
    """One setting as it was given. origin: how to name it in a message."""

    value: object
    origin: str


@dataclass(slots=True)
class Sources:
    """What was given, by flag name, and what the operator should hear about it."""

    given: dict[str, Given] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    config_file: str = ""
    wants: str = ""  # "help" or "version"


def gather(argv: Sequence[str], environ: Mapping[str, str]) -> Sources:
    """Read all three. Raises UsageError or Refusal."""
    flags, wants = _split(argv)
    sources = Sources(wants=wants)
    if wants:
        return sources
    of_file = tuple(prefix + "CONFIG_FILE" for prefix in PREFIXES)
    path = flags.get("config-file", "") or next(filter(None, (environ.get(name, "") for name in of_file)), "")
    if path:
        ignored = [f"--{name}" for name in flags if name != "config-file"]
        ignored += [name for name in _settings_of(environ) if name not in of_file]
        if ignored:
            sources.warnings.append(f"--config-file {path} is the whole configuration; ignored: {', '.join(ignored)}")
        sources.config_file = path
        _read_file(path, sources)
        return sources
    for name, text in flags.items():
        sources.given[name] = Given(_read(FLAGS[name], text, f"flag --{name}", UsageError), f"--{name}")
    _read_environment(environ, flags, sources)
    return sources


# -- the command line ----------------------------------------------------------------------------------------------
def _split(argv: Sequence[str]) -> tuple[dict[str, str], str]:
    """Flag name -> text, the last one counting; and "help" or "version" where asked for."""
    found: dict[str, str] = {}
    at = 0
    while at < len(argv):
        word = argv[at]
        at += 1
        if not word.startswith("-") or word in ("-", "--"):
            raise Refusal(f"'{word}' is not a valid flag; see zetcd --help")
        spelled, has_value, text = word.removeprefix("-").removeprefix("-").partition("=")
        if spelled in ("h", "help", "version"):
            return found, "help" if spelled != "version" else "version"
        flag = _known(spelled)
        if not has_value and flag.boolean:
            text = "true"
        elif not has_value:
            if at == len(argv):
                raise UsageError(f"flag needs an argument: --{spelled}")
            text = argv[at]
            at += 1
        found[flag.name] = text
    return found, ""


def _known(spelled: str) -> Flag:
    flag = FLAGS.get(RENAMED.get(spelled, spelled))
    if flag is not None:
        return flag
    raise UsageError(f"flag provided but not defined: --{spelled}{_nearest(spelled)}")


def _nearest(spelled: str) -> str:
    close = difflib.get_close_matches(spelled, FLAGS, n=1, cutoff=0.75)
    return f" (did you mean --{close[0]}?)" if close else ""


def _read(flag: Flag, text: str, place: str, error: type[Exception] = Refusal) -> object:
    try:
        return flag.read(text)
    except ValueError as wrong:
        raise error(f'invalid value "{text}" for {place}: it must be {wrong}') from None


# -- the environment -----------------------------------------------------------------------------------------------
def _settings_of(environ: Mapping[str, str]) -> Iterable[str]:
    # Empty ones count as not set, as in etcd.
    return sorted(
        name for name, text in environ.items() if name.startswith(PREFIXES) and text and name not in _OF_TOOLS
    )


def _read_environment(environ: Mapping[str, str], flags: Mapping[str, str], sources: Sources) -> None:
    by_variable = {name.upper().replace("-", "_"): flag for name, flag in FLAGS.items()}
    by_variable |= {old.upper().replace("-", "_"): FLAGS[new] for old, new in RENAMED.items()}
    for variable in _settings_of(environ):
        flag = by_variable.get(variable.partition("_")[2])
        if flag is None:
            sources.warnings.append(f"unrecognized environment variable {variable}={environ[variable]}")
        elif flag.name in flags:
            raise Refusal(
                f"conflicting environment variable {variable} is shadowed by the command-line flag --{flag.name}: "
                f"unset {variable} or leave out --{flag.name}"
            )
        elif flag.name in sources.given:
            raise Refusal(f"{sources.given[flag.name].origin} and {variable} are the same setting: unset one of them")
        else:
            sources.given[flag.name] = Given(_read(flag, environ[variable], variable), variable)


# -- the file ------------------------------------------------------------------------------------------------------
_SECURITY = {
    "cert-file": "cert-file",
    "key-file": "key-file",
    "client-cert-file": "client-cert-file",
    "client-key-file": "client-key-file",
    "client-cert-auth": "client-cert-auth",
    "trusted-ca-file": "trusted-ca-file",
    "auto-tls": "auto-tls",
    "allowed-cn": "cert-allowed-cn",
    "allowed-hostname": "cert-allowed-hostname",
    "crl-file": "crl-file",
}


def _read_file(path: str, sources: Sources) -> None:
    import yaml  # noqa: PLC0415 - 20 ms that only a configuration file is worth

    try:
        tree = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise Refusal(f"--config-file: open {path}: {(error.strerror or '').lower()}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise Refusal(f"--config-file {path}: not valid YAML: {' '.join(str(error).split())}") from None
    if tree is None:
        tree = {}
    if not isinstance(tree, dict):
        raise Refusal(f"--config-file {path}: it must hold lines of the form flag-name: value")
    for key, item in tree.items():
        if key in ("client-transport-security", "peer-transport-security"):
            _read_security(path, key, item, sources)
        else:
            _read_key(path, str(key), str(key), item, sources)


def _read_security(path: str, section: str, tree: object, sources: Sources) -> None:
    if not isinstance(tree, dict):
        raise Refusal(f"{section} in {path}: it must hold lines of the form cert-file: path")
    for key, item in tree.items():
        if key not in _SECURITY:
            raise Refusal(f"{section}.{key} in {path}: no such setting; there are {', '.join(_SECURITY)}")
        name = _SECURITY[key]
        if section.startswith("peer"):
            name = "peer-client-cert-auth" if name == "client-cert-auth" else f"peer-{name}"
        elif name in ("crl-file", "cert-allowed-hostname"):
            name = f"client-{name}"
        _read_key(path, f"{section}.{key}", name, item, sources)


def _read_key(path: str, shown: str, name: str, item: object, sources: Sources) -> None:
    place = f"{shown} in {path}"
    flag = FLAGS.get(RENAMED.get(name, name))
    if flag is None:
        raise Refusal(f"{place}: no such setting{_nearest(name)}")
    if item is None:
        return
    sources.given[flag.name] = Given(_from_yaml(flag, item, place), place)


def _from_yaml(flag: Flag, item: object, place: str) -> object:
    if flag.read is values.read_duration and isinstance(item, int) and not isinstance(item, bool):
        return item  # etcd's files hold nanoseconds
    if isinstance(item, bool):
        text = "true" if item else "false"
    elif isinstance(item, list | tuple):
        text = ",".join(str(part) for part in item)
    elif isinstance(item, str | int | float):
        text = str(item)
    else:
        raise Refusal(f"{place}: it must be one value, or a list of values")
    return _read(flag, text, place)
