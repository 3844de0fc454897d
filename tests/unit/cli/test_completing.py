"""What a shell is told may come next: commands and options from the parser, names from the daemon."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from clues.cli.client import Client
from clues.cli.commands import COMMANDS
from clues.cli.completing import candidates
from clues.cli.parser import build_parser
from tests.unit.api.serving import Api, serve
from tests.unit.builders import hybrid
from tests.unit.cli.running import ROOT, clues, environment


@pytest.fixture(scope="module")
def api() -> Iterator[Api]:
    with serve(hybrid()) as served:
        yield served


def after(line: str, socket: Path | str = "/nonexistent") -> list[str]:
    return candidates(build_parser({}), line.split(" "), Client(str(socket)))


@pytest.mark.parametrize(
    ("line", "next_ones"),
    [
        ("stat", ["status"]),
        ("vrouter ca ro", ["rotate"]),
        ("nodes --a", ["--all"]),
        ("cost -o c", ["csv"]),
        ("-o js", ["json"]),
        ("-o json stat", ["status"]),
        ("completion ", ["bash", "fish", "zsh"]),
        ("completion bash ", []),
        ("nonsense ", []),
        ("cost --since ", []),
        ("config check ", []),
    ],
)
def test_the_parser_itself_says_what_comes_next(line: str, next_ones: list[str]) -> None:
    assert after(line) == next_ones


def test_every_command_is_found_by_its_first_letters() -> None:
    for command in COMMANDS:
        assert command.words[-1] in after(command.name[:-1])


@pytest.mark.parametrize(
    ("line", "next_ones"),
    [
        ("drain gpu-0", [f"gpu-0{number}" for number in range(1, 10)]),
        ("drain gpu-01 gpu-01", []),  # it is there already
        ("history cpu-100", ["cpu-100"]),
        ("explain 42", ["4242", "4250"]),  # 4240_[1-2] would need quotes
        ("explain ce", ["cesnet"]),
        ("explain gp", ["gpu", *(f"gpu-{number:02}" for number in range(1, 17))]),
        ("image check a", ["aws"]),
    ],
)
def test_names_are_those_of_this_moment(api: Api, line: str, next_ones: list[str]) -> None:
    assert after(line, api.path) == next_ones


def test_without_a_daemon_there_are_no_names_and_no_complaint() -> None:
    result = clues("completion", "--for", "drain", "gpu")
    assert (result.code, result.out.strip(), result.err) == (0, "", "")


SHELLS = {
    # COMP_WORDS as bash sets them when Tab is pressed
    "bash": 'source {script}; COMP_WORDS=(clues {words}); COMP_CWORD={at}; _clues; printf "%s\\n" "${{COMPREPLY[@]}}"',
    "fish": "source {script}; complete -C 'clues {words}'",
}


@pytest.mark.parametrize("shell", SHELLS)
def test_the_shell_asks_and_takes_the_answer(api: Api, shell: str, tmp_path: Path) -> None:
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"{shell} is not installed")
    command = tmp_path / "clues"
    command.write_text(
        f"#!/bin/sh\nexec {sys.executable} -c 'import sys; from clues.cli import main; sys.exit(main())' \"$@\"\n"
    )
    command.chmod(0o755)
    script = tmp_path / "script"
    script.write_text(clues("completion", shell).out)
    more = {"PYTHONPATH": str(ROOT), "CLUES_SOCKET": str(api.path), "PATH": f"{tmp_path}:{os.defpath}"}
    for words, wanted in (("drain gpu-01 gpu-1", ["gpu-10", "gpu-16"]), ("vrouter ca ro", ["rotate"])):
        text = SHELLS[shell].format(script=script, words=words, at=len(words.split()))
        done = subprocess.run(
            [program, "-c", text], env={**environment(), **more}, capture_output=True, text=True, timeout=60, check=True
        )
        assert set(wanted) <= set(done.stdout.split()), done.stderr
