"""What may come next on a command line, from the parser itself: so a new command or option needs nothing here.

What an argument stands for is told by how it is named in the help: ``NODE`` is completed with the names of nodes, as
the daemon has them now. A daemon that does not answer gives no names, and no error.
"""

from __future__ import annotations

import re
from argparse import SUPPRESS, Action, ArgumentParser, _SubParsersAction
from collections.abc import Callable, Iterable, Mapping, Sequence

from clues.api import wire
from clues.cli.client import Client
from clues.cli.errors import CliError
from clues.cli.output import parse

#: What a shell takes as one word as it is; hostlists and arrays' ids would need quotes.
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def _nodes(client: Client) -> Iterable[str]:
    return (node.name for node in parse(wire.NodeList, client.get("nodes")).nodes)


def _jobs(client: Client) -> Iterable[str]:
    return (job.id for job in parse(wire.JobList, client.get("jobs")).jobs)


def _sites(client: Client) -> Iterable[str]:
    return (site.name for site in parse(wire.SiteList, client.get("sites")).sites)


def _pools(client: Client) -> Iterable[str]:
    return (pool.name for pool in parse(wire.ClusterStatus, client.get("status", [("nodes", 0)])).pools)


#: Where names come from, by the word that stands for them in the help.
NAMES: Mapping[str, Callable[[Client], Iterable[str]]] = {
    "NODE": _nodes,
    "JOB": _jobs,
    "SITE": _sites,
    "POOL": _pools,
}


def candidates(parser: ArgumentParser, words: Sequence[str], client: Client) -> list[str]:
    """Return what the last of *words*, those after ``clues``, may be completed to. Empty: nothing is known, which
    leaves files to the shell."""
    *before, word = words or [""]
    taken: Action | None = None
    positionals = _positionals(parser)
    for one in before:
        if taken is not None:  # this is an option's value
            taken = None
        elif one.startswith("-") and one != "-":
            name, _, value = one.partition("=")
            option = parser._option_string_actions.get(name)
            taken = option if option is not None and not value and option.nargs in (None, "+", "*") else None
        elif positionals:
            action = positionals[0]
            if isinstance(action, _SubParsersAction):
                if one not in action.choices:
                    return []
                parser = action.choices[one]
                positionals = _positionals(parser)
            elif action.nargs not in ("*", "+"):
                positionals = positionals[1:]
    if taken is not None:
        found = _values(taken, client)
    elif word.startswith("-"):
        found = [name for action in parser._actions if action.help != SUPPRESS for name in action.option_strings]
    else:
        found = _values(positionals[0], client) if positionals else []
    return sorted({one for one in found if one.startswith(word) and one not in before})


def _positionals(parser: ArgumentParser) -> list[Action]:
    return [action for action in parser._actions if not action.option_strings]


def _values(action: Action, client: Client) -> list[str]:
    if action.choices is not None:
        return [str(one) for one in action.choices]
    found: list[str] = []
    for kind in str(action.metavar or "").split("|"):
        if kind in NAMES:
            try:
                found += [name for name in NAMES[kind](client) if _PLAIN.fullmatch(name)]
            except CliError:
                continue
    return found
