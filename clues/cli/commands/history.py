"""``clues history``: the whole story of each claim of a node."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from clues.api import wire_records as wire
from clues.api.codec import printable
from clues.cli import words
from clues.cli.command import Command, Session
from clues.cli.output import View
from clues.cli.tables import Style

#: What a claim comes to, in the order in which it usually does.
_STEPS: tuple[tuple[str, str], ...] = (
    ("wanted", "wanted_at"),
    ("launched", "launched_at"),
    ("VM runs", "running_at"),
    ("enrolled", "enrolled_at"),
    ("checked", "checked_at"),
    ("opened", "opened_at"),
    ("first job", "used_at"),
    ("VM gone", "gone_at"),
)


def _lines(answer: wire.NodeHistory, style: Style) -> list[str]:
    if not answer.claims:
        return [style.cut(printable(f"{answer.node} never had a VM"))]
    lines: list[str] = []
    for claim in answer.claims:
        lines += ["", *_story(answer, claim, style)] if lines else _story(answer, claim, style)
    return lines


def _story(answer: wire.NodeHistory, claim: wire.ClaimStory, style: Style) -> list[str]:
    price = (
        "price unknown" if claim.price_per_hour is None else f"{words.money(claim.price_per_hour)} {answer.currency}/h"
    )
    cost = "" if claim.cost is None else f", {claim.cost:.2f} {answer.currency}"
    lived = "" if claim.lived_seconds is None else f", lived {words.age(claim.lived_seconds)}"
    failed = f" ({claim.failure})" if claim.failure else ""
    account = [f"account {claim.account}"] if claim.account else []
    told = [
        f"{answer.node} generation {claim.generation}: {claim.state}{failed}{lived}{cost}",
        f"  offer  {' '.join(one for one in (claim.site, claim.offer) if one)}, {price}",
        f"  VM     {', '.join(one for one in (claim.instance or 'none', claim.address, claim.image) if one)}",
        f"  for    {', '.join([*(f'job {job}' for job in claim.jobs), *account]) or 'no job'}",
    ]
    steps = [(at, 0, f"* {word}") for word, name in _STEPS if (at := getattr(claim, name))]
    steps += [(event.at, 1, event.text) for event in claim.events]
    told += [f"  {words.local_time(at)}  {text}" for at, _, text in sorted(steps, key=lambda one: one[:2])]
    return [style.cut(printable(line)) if not style.wide else printable(line) for line in told]


VIEW = View(wire.NodeHistory, _lines, lambda answer: [claim.claim for claim in answer.claims])


def _run(arguments: Namespace, session: Session) -> int:
    raw = session.client.get(f"claims/{arguments.node}", [("limit", arguments.number)])
    session.output.show(raw, VIEW)
    return 0


def _number(text: str) -> int:
    number = int(text)
    if not 1 <= number <= 100:
        raise ValueError(text)
    return number


def _arguments(parser: ArgumentParser) -> None:
    parser.add_argument("node", metavar="NODE", help="a node of a pool, or router-SITE")
    parser.add_argument(
        "-n", "--number", type=_number, default=5, metavar="N", help="the latest N of its VMs (5; at most 100)"
    )


COMMAND = Command(
    words=("history",),
    summary="show what became of each VM that a node has had, and why",
    run=_run,
    arguments=_arguments,
    about="A claim is one attempt to back the node with a VM; they are numbered by generation, and the latest is "
    "shown first. A star marks what it came to, the other lines are the event log's, with the reasons. The cost is "
    "what its provider charges for its time, by the price that it was bought at. Times are local; `-o json` has them "
    "in UTC.",
    examples=(
        ("clues history gpu-02", "the last five VMs of a node"),
        ("clues history gpu-02 -o wide -n 1", "the last one, with nothing cut off at the terminal's edge"),
        ("clues history gpu-02 -o json | jq '[.claims[].cost] | add'", "what a node has cost"),
    ),
)
