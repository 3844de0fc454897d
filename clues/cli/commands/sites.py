"""``clues sites``: what runs at each cloud, what is allowed there, and what rests."""

from __future__ import annotations

from argparse import Namespace

from clues.api import wire
from clues.cli import words
from clues.cli.command import Command, Session
from clues.cli.output import View
from clues.cli.tables import Column, table


def _state(site: wire.SiteView) -> str:
    if site.disabled:
        return "disabled"
    if site.age_seconds is None:
        return "unknown"
    return "failing" if site.error else "ok"


def _notes(site: wire.SiteView) -> str:
    resting = [f"{one.offer} rests ({one.code}), again in {words.age(one.again_seconds)}" for one in site.resting]
    return "; ".join([*([site.error] if site.error else []), *site.warnings, *resting]) or words.NOTHING


def columns(currency: str) -> tuple[Column[wire.SiteView], ...]:
    """Return the columns; money is in *currency*."""
    return (
        Column("SITE", lambda site: site.name, essential=True),
        Column("STATE", _state, essential=True),
        Column("SEEN", lambda site: words.age(site.age_seconds)),
        Column("VMS", lambda site: words.of_limit(site.vms, site.vms_limit), right=True, essential=True),
        Column("STARTING", lambda site: str(site.starting), right=True),
        Column("CPUS", lambda site: words.of_limit(site.cpus, site.cpus_limit), right=True),
        Column("GPUS", lambda site: words.of_limit(site.gpus, site.gpus_limit), right=True),
        Column(f"{currency or 'COST'}/H", lambda site: words.money(site.cost_per_hour), right=True),
        Column("CONNECTOR", lambda site: site.connector, wide=True),
        Column("ATTACH", lambda site: site.attach, wide=True),
        Column("CREDENTIALS", lambda site: words.left(site.credentials_seconds), right=True, wide=True),
        Column("STOPPING", lambda site: str(site.stopping), right=True, wide=True),
        Column("NOTES", _notes, least=20, essential=True),
    )


VIEW = View(
    wire.SiteList,
    lambda answer, style: table(answer.sites, columns(answer.currency), style),
    lambda answer: [site.name for site in answer.sites],
)


def _run(_: Namespace, session: Session) -> int:
    session.output.show(session.client.get("sites"), VIEW)
    return 0


COMMAND = Command(
    words=("sites",),
    summary="list the sites: what runs there, the limits, what rests after failures",
    run=_run,
    examples=(("clues sites", "all of them"), ("clues explain aws", "the whole story of one")),
)
