"""completion bash, zsh, fish: scripts made from the tree of commands; the shells need nothing of us afterwards."""

from collections.abc import Iterator, Sequence

from zetcd.cli.ctl.console import Console
from zetcd.cli.ctl.flags import BOOL, HELP, Flag
from zetcd.cli.ctl.formats import NAMES
from zetcd.cli.ctl.tree import COMMANDS, GLOBAL_FLAGS, PROGRAM, Command, children

_VALUES = {
    "write-out": NAMES,
    "consistency": ("l", "s"),
    "order": ("ASCEND", "DESCEND"),
    "sort-by": ("CREATE", "KEY", "MODIFY", "VALUE", "VERSION"),
    "load": ("s", "m", "l", "xl"),
}
_FILES = frozenset({"cacert", "cert", "key"})


def bash(console: Console) -> None:
    """The completion bash command."""
    console.line(bash_script())


def zsh(console: Console) -> None:
    """The completion zsh command."""
    console.line(f"#compdef {PROGRAM}\nautoload -U +X bashcompinit && bashcompinit\n{bash_script()}")


def fish(console: Console) -> None:
    """The completion fish command."""
    console.line("\n".join(_fish_lines()))


def bash_script() -> str:
    """A function that walks the words to the command, then offers its subcommands or flags."""
    cases = []
    for path in ((), *(c.path for c in COMMANDS)):
        below = " ".join(c.path[-1] for c in children(path))
        own = next((c.flags for c in COMMANDS if c.path == path), ())
        flags = " ".join(_spelled((*own, HELP)))
        cases.append(f'    "{" ".join(path)}") below="{below}"; own="{flags}" ;;')
    takes = "|".join(spelling for f in _all_flags() if f.kind != BOOL for spelling in _spellings(f))
    values = "\n".join(
        f'    {"|".join(_spellings(f))}) COMPREPLY=($(compgen -W "{" ".join(_VALUES[f.name])}" -- "$cur")); return ;;'
        for f in _all_flags()
        if f.name in _VALUES
    )
    known = "|".join(f'"{command.name}"' for command in COMMANDS)
    files = "|".join(f"--{name}" for name in sorted(_FILES))
    return f"""\
_{PROGRAM}() {{
  local cur=${{COMP_WORDS[COMP_CWORD]}} prev=${{COMP_WORDS[COMP_CWORD-1]}} path="" below="" own="" skip="" word i
  case "$prev" in
{values}
    {files}) COMPREPLY=($(compgen -f -- "$cur")); return ;;
    {takes}) return ;;
  esac
  for ((i = 1; i < COMP_CWORD; i++)); do
    word=${{COMP_WORDS[i]}}
    if [[ -n $skip ]]; then skip=""; continue; fi
    case "$word" in
      {takes}) skip=1 ;;
      -*) ;;
      *) case "${{path:+$path }}$word" in {known}) path="${{path:+$path }}$word" ;; esac ;;
    esac
  done
  case "$path" in
{chr(10).join(cases)}
  esac
  if [[ $cur == -* ]]; then
    COMPREPLY=($(compgen -W "$own {" ".join(_spelled(GLOBAL_FLAGS))}" -- "$cur"))
  else
    COMPREPLY=($(compgen -W "$below" -- "$cur"))
  fi
}}
complete -F _{PROGRAM} {PROGRAM}"""


def _all_flags() -> list[Flag]:
    """Every flag once, by name."""
    found: dict[str, Flag] = {}
    for f in (*GLOBAL_FLAGS, *(f for c in COMMANDS for f in c.flags)):
        found.setdefault(f.name, f)
    return list(found.values())


def _spellings(f: Flag) -> list[str]:
    return [f"--{f.name}"] + ([f"-{f.short}"] if f.short else [])


def _spelled(flags: Sequence[Flag]) -> list[str]:
    return [f"--{f.name}" for f in flags]


def _fish_lines() -> Iterator[str]:
    yield f"complete -c {PROGRAM} -f"
    for f in GLOBAL_FLAGS:
        yield f"complete -c {PROGRAM}{_fish_flag(f)}"
    for command in children(()):
        yield _fish_word("__fish_use_subcommand", command)
    for command in COMMANDS:
        condition = "; and ".join(f"__fish_seen_subcommand_from {word}" for word in command.path)
        below = children(command.path)
        for child in below:
            yield _fish_word(f"{condition}; and not __fish_seen_subcommand_from {_names(below)}", child)
        for f in command.flags:
            yield f"complete -c {PROGRAM} -n {_single(condition)}{_fish_flag(f)}"


def _names(commands: Sequence[Command]) -> str:
    return " ".join(c.path[-1] for c in commands)


def _fish_word(condition: str, command: Command) -> str:
    return f"complete -c {PROGRAM} -n {_single(condition)} -a {command.path[-1]} -d {_single(command.short)}"


def _fish_flag(f: Flag) -> str:
    out = f" -l {f.name}" + (f" -s {f.short}" if f.short else "")
    if f.kind != BOOL:
        out += " -x" if f.name not in _FILES else " -r -F"
    if f.name in _VALUES:
        out += f" -a {_single(' '.join(_VALUES[f.name]))}"
    return f"{out} -d {_single(f.usage)}"


def _single(text: str) -> str:
    """In single quotes, as fish reads them."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
