"""``dlrepair completion``: scripts for three shells, generated from the parser itself."""

from __future__ import annotations

import argparse
from typing import Iterator, NamedTuple

from dlrepair.cli import output

NAME = "completion"
HELP = "print the completion script of a shell"
EXAMPLE = """\
example:
  eval "$(dlrepair completion bash)"                                  in ~/.bashrc
  eval "$(dlrepair completion zsh)"                                   in ~/.zshrc, after compinit
  dlrepair completion fish > ~/.config/fish/completions/dlrepair.fish"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shell", choices=("bash", "zsh", "fish"))


def execute(arguments: argparse.Namespace) -> int:
    from dlrepair.cli.parser import build_parser

    commands = list(read_commands(build_parser()))
    output.say({"bash": bash, "zsh": zsh, "fish": fish}[arguments.shell](commands).rstrip())
    return output.FINE


class Option(NamedTuple):
    """One option: its spellings, what it does, the words it takes (None: no value; (): anything)."""

    names: tuple[str, ...]
    help: str
    choices: tuple[str, ...] | None


class Command(NamedTuple):
    """One command: its options and the fixed words that it takes as arguments."""

    name: str
    help: str
    options: tuple[Option, ...]
    words: tuple[str, ...]


def read_commands(parser: argparse.ArgumentParser) -> Iterator[Command]:
    """Every command of a parser; the first one, called "", is the program itself."""
    subparsers = next(action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    names = tuple(subparsers.choices)
    yield Command("", "", _options(parser), names)
    helps = {pseudo.dest: pseudo.help or "" for pseudo in subparsers._choices_actions}
    for name, sub in subparsers.choices.items():
        words = tuple(
            str(word) for action in sub._actions if not action.option_strings for word in action.choices or ()
        )
        if name == "explain":
            from dlrepair.model.causes import CAUSES

            words += tuple(CAUSES)
        yield Command(name, helps.get(name, ""), _options(sub), words)


def _options(parser: argparse.ArgumentParser) -> tuple[Option, ...]:
    found = []
    for action in parser._actions:
        if action.option_strings and action.help != argparse.SUPPRESS:
            choices = None if action.nargs == 0 else tuple(str(one) for one in action.choices or ())
            found.append(Option(tuple(action.option_strings), action.help or "", choices))
    return tuple(found)


def bash(commands: list[Command]) -> str:
    """Completes commands, options and their values; everything else as file names."""
    cases = []
    for command in commands:
        names = " ".join(name for option in command.options for name in option.names)
        words = " ".join(command.words)
        values = [option for option in command.options if option.choices]
        inner = "".join(
            "        {}) words={} ;;\n".format("|".join(option.names), _quote(" ".join(option.choices or ())))
            for option in values
        )
        case = "    {})\n      options={}; words={}\n".format(command.name or '""', _quote(names), _quote(words))
        if inner:
            case += '      case "$previous" in\n' + inner + "      esac\n"
        cases.append(case + "      ;;\n")
    return _BASH.replace("@CASES@", "".join(cases)).replace("@COMMANDS@", "|".join(one.name for one in commands[1:]))


_BASH = """\
_dlrepair() {
  local current="${COMP_WORDS[COMP_CWORD]}" previous="${COMP_WORDS[COMP_CWORD-1]}"
  local command="" options="" words="" position
  for ((position = 1; position < COMP_CWORD; position++)); do
    case "${COMP_WORDS[position]}" in
      @COMMANDS@) command="${COMP_WORDS[position]}"; break ;;
    esac
  done
  if [[ $command == run ]] && ((COMP_CWORD == position + 1)) && [[ $current != -* ]]; then
    COMPREPLY=($(compgen -c -- "$current")); return
  fi
  case "$command" in
@CASES@  esac
  if [[ $current == -* ]]; then
    COMPREPLY=($(compgen -W "$options" -- "$current"))
  else
    COMPREPLY=($(compgen -W "$words" -- "$current"))
  fi
}
complete -o bashdefault -o default -F _dlrepair dlrepair
"""


def zsh(commands: list[Command]) -> str:
    """The same by zsh's own completion system, with descriptions."""
    described = " ".join(_quote("{}:{}".format(one.name, one.help.replace(":", ";"))) for one in commands[1:])
    cases = []
    for command in commands[1:]:
        specs = [_zsh_option(option) for option in command.options]
        specs.append(_quote("*: :({})".format(" ".join(command.words))) if command.words else _quote("*:file:_files"))
        if command.name == "run":
            specs = [_quote("*::command:_normal")]
        cases.append("    {}) _arguments {} ;;\n".format(command.name, " ".join(specs)))
    top = " ".join(_zsh_option(option) for option in commands[0].options)
    return _ZSH.replace("@DESCRIBED@", described).replace("@CASES@", "".join(cases)).replace("@TOP@", top)


def _zsh_option(option: Option) -> str:
    help = option.help.replace("[", "(").replace("]", ")").replace(":", ";")
    value = ":value:({})".format(" ".join(option.choices)) if option.choices else ":value:_files"
    value = "" if option.choices is None else value
    return " ".join(_quote("{}[{}]{}".format(name, help, value)) for name in option.names)


_ZSH = """\
#compdef dlrepair
_dlrepair() {
  local context state line
  local -a commands
  commands=(@DESCRIBED@)
  _arguments -C @TOP@ '1: :->command' '*:: :->arguments'
  case "$state" in
    command) _describe command commands ;;
    arguments) case "$line[1]" in
@CASES@    esac ;;
  esac
}
compdef _dlrepair dlrepair
"""


def fish(commands: list[Command]) -> str:
    """The same for fish."""
    first = "complete -c dlrepair -f -n __fish_use_subcommand -a {} -d {}"
    lines = [first.format(command.name, _quote(command.help)) for command in commands[1:]]
    for command in commands:
        where = _quote("__fish_seen_subcommand_from " + command.name) if command.name else "__fish_use_subcommand"
        for option in command.options:
            names = " ".join("-l " + name[2:] if name.startswith("--") else "-s " + name[1:] for name in option.names)
            value = " -f -a " + _quote(" ".join(option.choices)) if option.choices else ""
            value = "" if option.choices is None else " -r" + value
            lines.append("complete -c dlrepair -n {} {}{} -d {}".format(where, names, value, _quote(option.help)))
        if command.name and command.words:
            lines.append("complete -c dlrepair -f -n {} -a {}".format(where, _quote(" ".join(command.words))))
    return "\n".join(lines) + "\n"


def _quote(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"
