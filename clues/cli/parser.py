"""The command line's grammar, made from the table of commands."""

from __future__ import annotations

import os
from argparse import SUPPRESS, ArgumentParser, HelpFormatter, _SubParsersAction
from collections.abc import Iterable, Mapping

from clues.cli.client import DEFAULT_SOCKET
from clues.cli.command import Command
from clues.cli.commands import COMMANDS
from clues.cli.errors import EXIT_CODES
from clues.cli.output import FORMATS

DESCRIPTION = "Look at an elastic Slurm cluster, and tell it what to do."

#: What the commands of a group have in common.
GROUPS: dict[tuple[str, ...], str] = {
    ("config",): "the configuration, without a daemon",
    ("image",): "the images that VMs start from",
    ("vrouter",): "the private network that joins the sites",
    ("vrouter", "ca"): "the CA whose certificates let a VM into the private network",
}


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
    groups: dict[tuple[str, ...], _SubParsersAction[ArgumentParser]] = {(): commands}
    for command in COMMANDS:
        for depth in range(1, len(command.words)):
            words = command.words[:depth]
            if words not in groups:
                holder = groups[words[:-1]].add_parser(
                    words[-1], help=GROUPS[words], description=GROUPS[words], allow_abbrev=False
                )
                groups[words] = holder.add_subparsers(metavar="COMMAND", required=True, dest="_".join(words))
        _add(groups[command.words[:-1]], command)
    return parser


def add_common(parser: ArgumentParser, path: str, form: str, more: Iterable[str] = ()) -> None:
    """Add what every command understands, before or after its name; *more* are forms that only this one has."""
    forms = [*FORMATS, *more]
    parser.add_argument("-o", "--output", choices=forms, default=form, help="form of the output (table)")
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
        add_common(parser, SUPPRESS, SUPPRESS, command.formats)
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
