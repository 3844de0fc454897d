"""Commands that need no daemon: they read the configuration themselves.

Checking a configuration needs all plugins and their models, which would make every other command slow to
start. So these commands live elsewhere and are found by entry point (group ``clues.offline``): a function
that takes the arguments after the command's words and returns the exit code.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from typing import cast

from clues.cli.command import Command, Session
from clues.cli.errors import Failed

GROUP = "clues.offline"
DEFAULT_FILE = "/etc/clues/clues.yaml"

Offline = Callable[[list[str]], int]


def _find(name: str) -> Offline:
    # Imported here: it takes longer than all of `clues status`.
    from importlib.metadata import entry_points

    found = next(iter(entry_points(group=GROUP, name=name)), None)
    if found is None:
        raise Failed(f"this installation has no {name!r} (entry point group {GROUP}); install clues again")
    return cast(Offline, found.load())


def _config_check(arguments: Namespace, _: Session) -> int:
    return _find("config-check")(_file(arguments))


def _slurm_config(arguments: Namespace, _: Session) -> int:
    check = ["--check"] if arguments.check else []
    write = [f"--write={arguments.write}"] if arguments.write else []
    return _find("slurm-config")([*check, *write, *_file(arguments)])


def _file(arguments: Namespace) -> list[str]:
    # After "--" a name that begins with a dash is a name.
    return ["--", arguments.file] if arguments.file else []


def _file_argument(parser: ArgumentParser) -> None:
    parser.add_argument("file", nargs="?", metavar="FILE", help=f"the configuration ({DEFAULT_FILE})")


def _slurm_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--check", action="store_true", help="compare with the running slurmctld instead of printing")
    parser.add_argument("--write", metavar="FOLDER", help="write the files there instead of printing them")
    _file_argument(parser)


COMMANDS: tuple[Command, ...] = (
    Command(
        words=("config", "check"),
        summary="check a configuration: every mistake at once, each with its line",
        run=_config_check,
        arguments=_file_argument,
        about="Nothing is changed, and no daemon is asked. Exits with 1 when there is a mistake.",
        examples=(("clues config check ./clues.yaml && systemctl reload cluesd", "look before you leap"),),
        offline=True,
    ),
    Command(
        words=("slurm-config",),
        summary="print the part of slurm.conf and gres.conf for the pools",
        run=_slurm_config,
        arguments=_slurm_arguments,
        about="With --check nothing is printed but the differences; exits with 1 when there are some.",
        examples=(
            ("clues slurm-config", "what to include in slurm.conf"),
            ("clues slurm-config --check", "is the running slurmctld up to date?"),
        ),
        offline=True,
    ),
)
