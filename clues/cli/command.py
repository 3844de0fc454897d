"""What a command is, and what it is given to work with."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from clues import hostlist
from clues.cli.client import Client
from clues.cli.errors import Usage
from clues.cli.output import Output


@dataclass(frozen=True, slots=True)
class Session:
    """The daemon and the screen."""

    client: Client
    output: Output


def how_many(text: str) -> int:
    """Return how many entries of a log are wanted, of an argument.

    :raises ValueError: it is no number, or more than the daemon tells at once.
    """
    number = int(text)
    if not 1 <= number <= 1000:
        raise ValueError(text)
    return number


def _nothing(parser: ArgumentParser) -> None:
    """A command without arguments of its own."""


@dataclass(frozen=True, slots=True)
class Command:
    """One command; all but the last of its ``words`` name groups, as in ``config check``."""

    words: tuple[str, ...]
    summary: str
    #: returns the exit code
    run: Callable[[Namespace, Session], int]
    arguments: Callable[[ArgumentParser], None] = _nothing
    about: str = ""
    #: (command line, what it does)
    examples: tuple[tuple[str, str], ...] = ()
    #: it needs no daemon, and has no ``-o``
    offline: bool = False
    #: forms of output that only it has, beside :data:`clues.cli.output.FORMATS`
    formats: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return " ".join(self.words)


def check_hostlists(texts: list[str]) -> list[str]:
    """Return the names, each once, in order.

    :raises Usage: when a text is not a hostlist.
    """
    try:
        names = hostlist.expand(",".join(texts))
    except hostlist.HostlistError as error:
        raise Usage(str(error)) from error
    if not names:
        raise Usage("an empty text names no node")
    return list(dict.fromkeys(names))
