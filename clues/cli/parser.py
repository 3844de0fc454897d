"""The command line's grammar, made from the table of commands."""

from __future__ import annotations

import os
from argparse import SUPPRESS, ArgumentParser, HelpFormatter, _SubParsersAction
from collections.abc import Mapping

from clues.cli.client import DEFAULT_SOCKET
from clues.cli.command import Command
from clues.cli.commands import COMMANDS
from clues.cli.errors import EXIT_CODES
from clues.cli.output import FORMATS

DESCRIPTION = "Look at an elastic Slurm cluster, and tell it what to do."


class _Help(HelpFormatter):
    """Help that wraps its paragraphs and leaves lists, which are the ones with an indented line, as they
    are."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        paragraphs = text.split("\n\n")
        return "\n\n".join(
            one if "\n  " in one else super(_Help, self)._fill_text(one, width, indent) for one in paragraphs
        )


def build_parser(environment: Mapping[str, str] = os.environ) -> ArgumentParser:
    """Return the parser; ``run`` of what it parses is the command's function."""
    parser = ArgumentParser(
        prog="clues",
        description=DESCRIPTION,
        epilog=_epilog(),
        formatter_class=_Help,
        allow_abbrev=False,
    )
    add_common(parser, environment.get("CLUES_SOCKET") or DEFAULT_SOCKET, "table")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True, dest="command")
    groups: dict[str, _SubParsersAction[ArgumentParser]] = {}
    for command in COMMANDS:
        if len(command.words) == 1:
            _add(commands, command)
            continue
        group, _ = command.words
        if group not in groups:
            holder = commands.add_parser(group, help=command.summary, allow_abbrev=False)
            groups[group] = holder.add_subparsers(metavar="COMMAND", required=True, dest=f"{group}_command")
        _add(groups[group], command)
    return parser


def add_common(parser: ArgumentParser, path: str, form: str) -> None:
    """Add what every command understands, before or after its name."""
    parser.add_argument("-o", "--output", choices=list(FORMATS), default=form, help="form of the output (table)")
    parser.add_argument(
        "--socket", metavar="PATH", default=path, help=f"the daemon's socket ($CLUES_SOCKET, {DEFAULT_SOCKET})"
    )


def _add(commands: _SubParsersAction[ArgumentParser], command: Command) -> None:
    parser = commands.add_parser(
        command.words[-1],
        help=command.summary,
        description=f"{command.summary[0].upper()}{command.summary[1:]}.\n\n{command.about}".strip(),
        epilog=examples(command),
        formatter_class=_Help,
        allow_abbrev=False,
    )
    command.arguments(parser)
    if not command.offline:
        # Without defaults: what was given before the command's name stays.
        add_common(parser, SUPPRESS, SUPPRESS)
    parser.set_defaults(run=command.run)


def examples(command: Command) -> str:
    """Return the examples as help shows them."""
    if not command.examples:
        return ""
    widest = max(len(line) for line, _ in command.examples)
    if widest > 40:
        return "examples:\n" + "\n".join(f"  {line}\n      {what}" for line, what in command.examples)
    return "examples:\n" + "\n".join(f"  {line:<{widest}}   {what}" for line, what in command.examples)


def _epilog() -> str:
    codes = "\n".join(f"  {code:<4}{meaning}" for code, meaning in EXIT_CODES.items())
    return (
        "examples:\n"
        "  clues status                   the cluster in one screen\n"
        "  clues explain 4242             why does this job wait?\n"
        "  clues disable 'gpu-[01-02]'    take two nodes out of service\n"
        "\n"
        f"exit codes:\n{codes}\n"
        "\n"
        "clues COMMAND --help tells more about one command."
    )
