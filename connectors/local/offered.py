"""What a local site offers, as far as its configuration tells: flavors, prices, and what is wrong with an offer."""

from __future__ import annotations

from collections.abc import Sequence

from clues.model import Finding, Flavor, Offer, Price, Soundness
from connectors.local import machine
from connectors.local.config import LocalConfig


def flavors(config: LocalConfig) -> list[Flavor]:
    """Return the configured flavors."""
    return [
        Flavor(
            name,
            flavor.resources,
            flavor.price.amount if flavor.price else None,
            flavor.price.currency if flavor.price else "",
        )
        for name, flavor in config.flavors.items()
    ]


def prices(config: LocalConfig, offers: Sequence[Offer]) -> dict[str, Price]:
    """Return the prices of *offers* by their keys, where the flavor has one."""
    told = {name: flavor.price for name, flavor in config.flavors.items() if flavor.price is not None}
    return {
        offer.key: Price(price.amount, price.currency, "the site's own configuration")
        for offer in offers
        if (price := told.get(offer.flavor)) is not None
    }


def examine(config: LocalConfig, offers: Sequence[Offer]) -> list[Finding]:
    """Look for what VMs are made with, and for the flavors of *offers*."""
    lacking = machine.what_is_missing()
    found = Finding("machine", Soundness.GOOD, "namespaces and links can be made")
    if lacking:
        cure = "run cluesd as root, or inside `python -m connectors.local.sandbox -- COMMAND`"
        found = Finding("machine", Soundness.BAD, lacking, cure)
    return [found, *(_flavor(config, name) for name in dict.fromkeys(offer.flavor for offer in offers))]


def _flavor(config: LocalConfig, name: str) -> Finding:
    flavor = config.flavors.get(name)
    if flavor is not None:
        return Finding(f"flavor {name}", Soundness.GOOD, f"has {flavor.resources}")
    cure = "write it under the site's `flavors`, or take it out of the offers"
    return Finding(f"flavor {name}", Soundness.BAD, "is not configured", cure)
