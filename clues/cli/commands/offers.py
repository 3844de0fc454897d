"""``clues offers``: what could be bought, for how much, and what stands against it."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from clues.api import wire_clouds
from clues.cli import words
from clues.cli.command import Command, Session
from clues.cli.output import View
from clues.cli.tables import Column, table


def _flavor(offer: wire_clouds.OfferView) -> str:
    return f"{offer.flavor} {offer.zone}".rstrip()


def _shape(offer: wire_clouds.OfferView) -> str:
    parts = [f"{offer.cpus} CPUs", words.memory(offer.memory_mib), *([f"gpu {offer.gpus}"] if offer.gpus else [])]
    return ", ".join(parts)


def _source(offer: wire_clouds.OfferView) -> str:
    age = "" if offer.price_age_seconds is None else f", {words.age(offer.price_age_seconds)} old"
    return f"{offer.price_source}{age}" if offer.price_source else words.NOTHING


def _quota(offer: wire_clouds.OfferView) -> str:
    parts = [
        f"{left} {what}"
        for left, what in ((offer.vms_left, "VMs"), (offer.cpus_left, "CPUs"), (offer.gpus_left, "GPUs"))
        if left is not None
    ]
    if offer.memory_mib_left is not None:
        parts.append(words.memory(offer.memory_mib_left))
    return ", ".join(parts) or words.NOTHING


def _breaker(offer: wire_clouds.OfferView) -> str:
    """Return what a failure of late lets through: ``open, again in 40 s``, ``probing``, ``growing 4``."""
    if offer.breaker == "open":
        return f"open, again in {words.age(offer.again_seconds)}"
    return f"growing {offer.allowed}" if offer.breaker == "growing" else offer.breaker


def _taken_back(offer: wire_clouds.OfferView) -> str:
    """Return how often spot VMs are taken back, and of how many hours that is known: ``1.3 %/h of 160 h``."""
    if offer.interruptions_per_hour is None:
        return words.NOTHING
    share = f"{100 * offer.interruptions_per_hour:.1f} %/h"
    return f"{share} of {offer.seen_hours:.0f} h" if offer.seen_hours >= 0.5 else f"{share} assumed"


def _why(offer: wire_clouds.OfferView) -> str:
    trouble = "" if offer.price_trouble in offer.why_not_more else offer.price_trouble
    return "; ".join(one for one in (trouble, offer.why_not_more) if one) or words.NOTHING


def columns(currency: str) -> tuple[Column[wire_clouds.OfferView], ...]:
    """Return the columns; money is in *currency*."""
    return (
        Column("POOL", lambda offer: offer.pool, essential=True),
        Column("SITE", lambda offer: offer.site, essential=True),
        Column("FLAVOR", _flavor, least=8, essential=True),
        Column("MARKET", lambda offer: offer.market),
        Column("SHAPE", _shape),
        Column(f"{currency or 'COST'}/H", lambda offer: words.money(offer.price_per_hour), right=True, essential=True),
        Column("PRICE FROM", _source, least=12),
        Column("TAKEN BACK", _taken_back, least=9),
        Column("QUOTA LEFT", _quota, least=8),
        Column("BREAKER", _breaker, least=7),
        Column("FAILED WITH", lambda offer: offer.rests or words.NOTHING, wide=True),
        Column("FAILURES", lambda offer: str(offer.failures), right=True, wide=True),
        Column("IMAGE", lambda offer: offer.image, wide=True),
        Column("CAN START", lambda offer: str(offer.could_start), right=True, essential=True),
        Column("WHY NOT MORE", _why, least=16, essential=True),
    )


VIEW = View(
    wire_clouds.OfferList,
    lambda answer, style: table(answer.offers, columns(answer.currency), style),
    lambda answer: [offer.offer for offer in answer.offers],
)


def _run(arguments: Namespace, session: Session) -> int:
    query = [("about", name) for name in arguments.names]
    session.output.show(session.client.get("offers", query), VIEW)
    return 0


def _arguments(parser: ArgumentParser) -> None:
    parser.add_argument("names", nargs="*", metavar="POOL|SITE", help="only the offers of these")


COMMAND = Command(
    words=("offers",),
    summary="list the offers: shape, price and who says so, quota left, how many could start now and why not more",
    run=_run,
    arguments=_arguments,
    about="CAN START is how many VMs clues itself would start of this offer now, if jobs needed them: under the limits "
    "of the configuration, the provider's quota, the budget, and what rests after failures. QUOTA LEFT is what the "
    "provider allows besides what is there and what is on its way; a dash where it does not tell. BREAKER is what "
    "failures of late let through: closed, all; open, nothing for a while; probing, one launch that tries; growing, so "
    "many at once. TAKEN BACK is the share of spot VMs that the provider is expected to take back in an hour, and the "
    "hours of VMs that it was seen in, what is long ago counted less; assumed while none has run. The planner reckons "
    "with it when spot competes with on-demand.",
    examples=(
        ("clues offers", "all of them"),
        ("clues offers gpu", "those of one pool"),
        ("clues offers aws -o wide", "those of one site, with images and failures"),
        ("clues offers -o json | jq '.offers[] | select(.could_start == 0)'", "what cannot be had now"),
    ),
)
