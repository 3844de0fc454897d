"""Orders: what a sysadmin tells the cluster to do. They are committed at once and carried out by the next
ticks."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Callable

from clues.api import wire
from clues.cli import words
from clues.cli.command import Command, Session, check_hostlists
from clues.cli.output import View
from clues.cli.tables import Style

_SAID = {
    "poweron": "will be started",
    "poweroff": "will be stopped as soon as no job runs there",
    "drain": "takes no new jobs",
    "disable": "is out of service until `clues enable`",
    "enable": "is in service again",
    "pause": "Paused: no VM is bought or stopped until `clues resume`. What runs goes on.",
    "resume": "Resumed.",
}

#: What an order to drain or to stop means for a node that is off.
_WITHOUT_VM = "has no VM: nothing is changed, and jobs may have it started; `clues disable` keeps it off"


def _lines(answer: wire.Accepted, style: Style) -> list[str]:
    said = _SAID.get(answer.order, "accepted")
    if not answer.nodes:
        return [said]
    meant = [name for name in answer.nodes if name not in answer.without_vm]
    lines = [style.cut(f"{words.nodes(meant)} {said}")] if meant else []
    if answer.without_vm:
        lines.append(style.cut(f"{words.nodes(answer.without_vm)} {_WITHOUT_VM}"))
    return lines


VIEW = View(wire.Accepted, _lines, lambda answer: answer.nodes)


def _order(verb: str) -> Callable[[Namespace, Session], int]:
    def run(arguments: Namespace, session: Session) -> int:
        check_hostlists(arguments.nodes)
        session.output.show(session.client.post(f"nodes/{verb}", {"nodes": arguments.nodes}), VIEW)
        return 0

    return run


def _switch(verb: str) -> Callable[[Namespace, Session], int]:
    def run(_: Namespace, session: Session) -> int:
        session.output.show(session.client.post(verb), VIEW)
        return 0

    return run


def _arguments(parser: ArgumentParser) -> None:
    parser.add_argument("nodes", nargs="+", metavar="NODE", help="names or hostlists, such as 'cpu-[001-004]'")


_ALL_OR_NOTHING = "With one name that is wrong, nothing is changed."


def _node_order(verb: str, summary: str, about: str) -> Command:
    return Command(
        words=(verb,),
        summary=summary,
        run=_order(verb),
        arguments=_arguments,
        about=f"{about} {_ALL_OR_NOTHING}",
        examples=((f"clues {verb} 'gpu-[01-02]' cpu-007", "three nodes"),),
    )


COMMANDS: tuple[Command, ...] = (
    _node_order(
        "poweron",
        "start nodes, jobs or not",
        "They stay up as long as the pool's idle time, as any other, once they have been up.",
    ),
    _node_order(
        "poweroff", "stop nodes, after their jobs", "Running jobs end first; waiting jobs may start them again."
    ),
    _node_order(
        "drain",
        "let nodes take no new jobs, then stop them",
        "For a node that shall stay away, see `clues disable`.",
    ),
    _node_order(
        "disable",
        "take nodes out of service",
        "They are drained, stopped, and not started again, whatever waits, until `clues enable`.",
    ),
    _node_order("enable", "take back any order for nodes", "What follows is clues' own decision again."),
    Command(
        words=("pause",),
        summary="buy and stop nothing for now",
        run=_switch("pause"),
        about="What runs goes on, and clues goes on looking; `clues status` says that it is paused. Jobs that would "
        "not end before a site's maintenance are kept off it all the same.",
        examples=(("clues pause", "before work on the network, say"),),
    ),
    Command(
        words=("resume",),
        summary="end a pause",
        run=_switch("resume"),
        examples=(("clues resume", "go on as before"),),
    ),
)
