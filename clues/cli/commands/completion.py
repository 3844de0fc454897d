"""``clues completion``: what makes a shell complete commands, options and live names."""

from __future__ import annotations

from argparse import REMAINDER, SUPPRESS, ArgumentParser, Namespace

from clues.cli.command import Command, Session
from clues.cli.errors import Usage

#: The file of each shell, below ``templates/completions``.
FILES = {"bash": "clues.bash", "zsh": "_clues", "fish": "clues.fish"}


def _run(arguments: Namespace, session: Session) -> int:
    if arguments.words is not None:
        from clues.cli.completing import candidates
        from clues.cli.parser import build_parser  # it knows this command, too

        session.output.write("\n".join(candidates(build_parser(), arguments.words, session.client)))
    elif arguments.shell:
        from clues.templates import read

        session.output.write(read(f"completions/{FILES[arguments.shell]}"))
    else:
        raise Usage(f"for which shell? `clues completion {'|'.join(FILES)}`")
    return 0


def _arguments(parser: ArgumentParser) -> None:
    parser.add_argument("shell", nargs="?", choices=list(FILES), metavar="SHELL", help="bash, zsh or fish")
    # asked by the shells: what the last of these words may become
    parser.add_argument("--for", dest="words", nargs=REMAINDER, help=SUPPRESS)


COMMAND = Command(
    words=("completion",),
    summary="print what makes a shell complete commands, options and names",
    run=_run,
    arguments=_arguments,
    about="Nodes, jobs, pools and sites are completed with the names that the daemon has at that moment; without a "
    "daemon there are none. The packages install it for all three shells.",
    examples=(
        ("source <(clues completion bash)", "for this shell; put it into ~/.bashrc for all"),
        ("clues completion zsh > ~/.zfunc/_clues", "zsh, where ~/.zfunc is in fpath"),
        ("clues completion fish > ~/.config/fish/completions/clues.fish", "fish"),
    ),
    offline=True,
)
