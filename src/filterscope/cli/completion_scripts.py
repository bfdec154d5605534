"""Completion scripts for bash, zsh and fish, written from what the parsers tell.

The scripts hold all words themselves: a shell completes at once and starts no filterscope.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass

_MADE = "# Completion of filterscope, as printed by: filterscope completion {shell}"


@dataclass(frozen=True)
class Option:
    """A flag.

    Attributes:
        flag: With its dashes.
        text: Its help.
        values: What it takes; empty: anything, and files are offered.
        is_switch: It may stand alone.
    """

    flag: str
    text: str
    values: tuple[str, ...] = ()
    is_switch: bool = False


@dataclass(frozen=True)
class Verb:
    """A verb.

    Attributes:
        name: As it is typed.
        text: Its line in the help.
        options: Its flags.
        after: Words that may follow a word; the verb's own word stands for the start.
    """

    name: str
    text: str
    options: tuple[Option, ...] = ()
    after: dict[str, tuple[str, ...]] | None = None


_BASH = """{made}
_filterscope() {{
    local word=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD - 1]}} words=
    if [[ $word == = ]]; then
        word=
    elif [[ $before == = ]]; then  # bash takes --flag=value for three words
        before=${{COMP_WORDS[COMP_CWORD - 2]}}
    fi
    if ((COMP_CWORD == 1)); then
        words='{verbs}'
    elif [[ $word == -* ]]; then
        case ${{COMP_WORDS[1]}} in
{flags}
        esac
    else
        case "${{COMP_WORDS[1]}} $before" in
{values}
        esac
    fi
    # names have no spaces; where no name fits, bash offers files
    COMPREPLY=($(compgen -W "$words" -- "$word"))
    if [[ ${{#COMPREPLY[@]}} == 1 && ${{COMPREPLY[0]}} == *: ]]; then
        compopt -o nospace 2>/dev/null
    fi
}}
complete -o default -F _filterscope filterscope
"""


def bash_script(verbs: Sequence[Verb]) -> str:
    """Write the script for bash, from version 3.2 on."""
    flags, values = [], []
    for verb in verbs:
        flags.append(f"{verb.name}) words='{' '.join(o.flag for o in verb.options)}' ;;")
        taken = {o.flag: o.values for o in verb.options if o.values and not o.is_switch}
        for before, words in {**(verb.after or {}), **taken}.items():
            values.append(f"'{verb.name} {before}') words='{' '.join(words)}' ;;")
    return _BASH.format(
        made=_MADE.format(shell="bash"),
        verbs=" ".join([*(verb.name for verb in verbs), "--help", "--version"]),
        flags="\n".join(" " * 12 + line for line in flags),
        values="\n".join(" " * 12 + line for line in values),
    )


_ZSH = """#compdef filterscope
{made}
_filterscope() {{
    if ((CURRENT == 2)); then
        local -a verbs=(
{verbs}
        )
        _describe verb verbs
        return
    fi
    shift words
    ((CURRENT--))
    case $words[1] in
{cases}
    esac
}}
if [[ $funcstack[1] == _filterscope ]]; then
    _filterscope "$@"
else
    compdef _filterscope filterscope
fi
"""


def zsh_script(verbs: Sequence[Verb]) -> str:
    """Write the script for zsh; it may lie in a folder of fpath or be read with source."""
    cases = []
    for verb in verbs:
        specs = [_zsh_option(option) for option in verb.options]
        after = verb.after or {}
        first = f"({' '.join(after[verb.name])})" if verb.name in after else "_files"
        specs.append(f"1:{verb.name}:{first}")
        for before, words in after.items():
            if before != verb.name:
                specs.append(f"2:name:{{[[ $words[2] == {before} ]] && compadd {' '.join(words)}}}")
        specs.append("*:file:_files")
        lines = " \\\n".join(" " * 12 + shlex.quote(spec) for spec in specs)
        cases.append(f"    {verb.name})\n        _arguments \\\n{lines}\n        ;;")
    return _ZSH.format(
        made=_MADE.format(shell="zsh"),
        verbs="\n".join(" " * 12 + shlex.quote(f"{v.name}:{v.text}") for v in verbs),
        cases="\n".join(cases),
    )


def _zsh_option(option: Option) -> str:
    """A specification for _arguments: flag, help, and what may follow."""
    text = "".join(f"\\{c}" if c in "[]:\\" else c for c in option.text)
    if option.is_switch:
        return f"{option.flag}[{text}]"
    name = option.flag.lstrip("-")
    action = f"({' '.join(option.values)})" if option.values else "_files"
    ends = [value for value in option.values if not value.endswith(":")]
    if ends != list(option.values):  # a path follows, not a space
        begun = " ".join(value for value in option.values if value.endswith(":"))
        action = f"{{compadd {' '.join(ends)}; compadd -S '' {begun}}}"
    return f"{option.flag}=[{text}]:{name}:" + action.replace(":", "\\:")


_FISH = """{made}
function __filterscope_at # the verb, and the word before the cursor
    set -l typed (commandline -opc)
    test (count $typed) -ge 2; and test "$typed[2]" = $argv[1]; and test "$typed[-1]" = $argv[2]
end
function __filterscope_verb
    set -l typed (commandline -opc)
    test (count $typed) -ge 2; and test "$typed[2]" = $argv[1]
end
function __filterscope_none
    test (count (commandline -opc)) -eq 1
end
"""


def fish_script(verbs: Sequence[Verb]) -> str:
    """Write the script for fish."""
    lines = []
    for verb in verbs:
        start = f"complete -c filterscope -n __filterscope_none -f -a {verb.name}"
        lines.append(f"{start} -d {_fish_quoted(verb.text)}")
        for before, words in (verb.after or {}).items():
            at = _fish_quoted(f"__filterscope_at {verb.name} {before}")
            lines.append(f"complete -c filterscope -n {at} -f -a {_fish_quoted(' '.join(words))}")
        for option in verb.options:
            takes = "" if option.is_switch else " -r"
            if option.values and not option.is_switch:
                takes = f" -x -a {_fish_quoted(' '.join(option.values))}"
            lines.append(
                f"complete -c filterscope -n '__filterscope_verb {verb.name}' "
                f"-l {option.flag.lstrip('-')}{takes} -d {_fish_quoted(option.text)}"
            )
    return _FISH.format(made=_MADE.format(shell="fish")) + "\n".join(lines) + "\n"


def _fish_quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


SCRIPTS: dict[str, Callable[[Sequence[Verb]], str]] = {
    "bash": bash_script,
    "zsh": zsh_script,
    "fish": fish_script,
}
"""How the script of each shell is written."""
