"""Completion scripts, generated from the parser; bash's is really run by bash."""

from __future__ import annotations

import os
import subprocess

import pytest
from interpreters import bare_env

from dlrepair.cli import completion, main, parser

COMMANDS = list(completion.read_commands(parser.build_parser()))
NAMES = [module.NAME for module in parser.COMMANDS]


def _complete(tmp_path: object, *words: str) -> list[str]:
    """What bash offers for the last of ``words``."""
    script = os.path.join(str(tmp_path), "completion.bash")
    with open(script, "w") as handle:
        handle.write(completion.bash(COMMANDS))
    code = 'source "$0"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _dlrepair; printf "%s\\n" "${COMPREPLY[@]}"'
    done = subprocess.run(
        ["bash", "--norc", "-u", "-c", code, script, "dlrepair", *words], env=bare_env(), stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert done.returncode == 0 and done.stderr == "", done
    return done.stdout.split()


def test_bash_offers(tmp_path: object) -> None:
    assert set(_complete(tmp_path, "")) == set(NAMES)
    assert _complete(tmp_path, "un") == ["uninstall"]
    assert set(_complete(tmp_path, "--")) == {"--help", "--version", "--debug"}
    assert set(_complete(tmp_path, "log", "--")) == {"--help", "--follow", "--incident", "--since", "--json"}
    assert set(_complete(tmp_path, "cache", "")) == {"ls", "gc", "clear", "forget"}
    assert _complete(tmp_path, "check", "--loader", "t") == ["tf"]
    assert "file-missing" in _complete(tmp_path, "explain", "file")
    assert set(_complete(tmp_path, "completion", "")) == {"bash", "zsh", "fish"}
    assert "printf" in _complete(tmp_path, "run", "prin")
    assert _complete(tmp_path, "check", "build/") == []  # bash's own file names then


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_every_command_and_option_is_there(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["completion", shell]) == 0
    text = capsys.readouterr().out
    for command in COMMANDS[1:]:
        assert command.name in text
        for option in command.options:
            for name in option.names:
                assert ("-l " + name[2:] if shell == "fish" and name.startswith("--") else name.lstrip("-")) in text
    assert text.count("'") % 2 == 0
