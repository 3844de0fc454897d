"""What has to hold between several keys of the file.

Each check looks only at keys that could be read, so that one mistake never causes a second, misleading one.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from clues.config.mistakes import Mistakes, Place, near, one_of, show
from clues.config.models import File
from clues.config.pool_models import BudgetSection, OfferSection, PoolSection
from clues.config.sections import has
from clues.config.site_models import ShapeSection
from clues.config.values import BOOT_SHARE
from clues.config.worker_models import HookSection
from clues.hostlist import MOST, compress
from clues.model import Attach, Market, Mode, Resources
from clues.naming import what_is_wrong_with_word
from clues.units import Money, show_duration

#: What the flavors of a site have, for the sites where the configuration tells.
Flavors = Mapping[str, Mapping[str, Resources]]


def check_names(file: File, mistakes: Mistakes) -> None:
    """Sites and pools have names that Slurm takes, and there is at least one of each."""
    for section in ("sites", "pools"):
        if not has(file, section):
            continue
        names = getattr(file, section)
        if not names and not mistakes.has_told((section,)):
            mistakes.add((section,), f"is empty: it needs at least one of the {section}")
        for name in names:
            if wrong := what_is_wrong_with_word(name):
                mistakes.add((section, name), f"{show(name)} cannot be a name: {wrong}")


def check_money(file: File, mistakes: Mistakes) -> None:
    """Rates are for other currencies, and every amount can be converted."""
    for currency in file.rates:
        if not re.fullmatch(r"[A-Z]{3}", currency):
            mistakes.add(("rates", currency), "is not a currency: write its three letters, such as USD")
        elif currency == file.currency:
            mistakes.add(("rates", currency), "is the cluster's own currency: remove the rate")
    for place, money in _amounts(file):
        if money is not None and money.currency != file.currency and money.currency not in file.rates:
            mistakes.add(
                place,
                f"'{money}' is not in {file.currency} and has no rate: "
                f"write under rates what 1 {money.currency} is worth, such as {{{money.currency}: 0.92}}",
            )


def check_networks(file: File, ranges: list[str], mistakes: Mistakes) -> None:
    """The ranges of the sites lie in the overlay's and do not overlap. *ranges* names the sites that have one."""
    overlay = ipaddress.ip_network(file.overlay.network) if file.overlay.network else None
    seen: list[tuple[str, ipaddress.IPv4Network | ipaddress.IPv6Network]] = []
    for name in ranges:
        place = ("sites", name, "network")
        try:
            network = ipaddress.ip_network(file.sites[name].network)
        except ValueError:
            given, router = file.sites[name].network, file.sites[name].attach is Attach.ROUTER
            what = f"found {show(given)}" if given else "'network' is missing"
            who = "attach: router" if router else "this connector"
            mistakes.add(place, f"{what}: {who} needs a range, with its first address: 10.77.1.0/24")
            continue
        if overlay is not None and not (network.version == overlay.version and network.subnet_of(overlay)):  # type: ignore[arg-type]
            mistakes.add(place, f"{network} is not a part of the overlay's network {overlay}")
        for other, taken in seen:
            if network.overlaps(taken):
                mistakes.add(place, f"{network} overlaps {taken} of site {other}: one address would be two workers'")
        seen.append((name, network))


def check_routers(file: File, flavors: Flavors, mistakes: Mistakes) -> None:
    """A site behind a router says which VM that is and which range lies behind it, and no other site has one."""
    for name, site in file.sites.items() if has(file, "sites") else ():
        place = ("sites", name)
        if mistakes.has_told((*place, "attach")):
            continue
        if site.attach is not Attach.LOCAL and file.overlay.public is None and not mistakes.has_told(("overlay",)):
            mistakes.add(
                (*place, "attach"), f"'{site.attach}' needs overlay.public: where VMs of other sites call the front-end"
            )
        if site.attach is not Attach.ROUTER:
            if site.router is not None:
                mistakes.add((*place, "router"), f"belongs to attach: router, and this site has attach: {site.attach}")
            continue
        if site.router is None:
            if not mistakes.has_told((*place, "router")):
                mistakes.add(
                    (*place, "attach"), "'router' needs a router VM: write router: {flavor: ..., image: ...} beside it"
                )
        elif has(site.router, "flavor") and name in flavors and (flavor := site.router.flavor) not in flavors[name]:
            known = flavors[name]
            text = f"site {name} has no flavor {show(flavor)}{near(flavor, known)}; it has: {one_of(known)}"
            mistakes.add((*place, "router", "flavor"), text)


def check_shares(file: File, mistakes: Mistakes) -> None:
    """No folder is shared twice, and none lies in another one that is."""
    seen: list[Path] = []
    for at, share in enumerate(file.shares):
        if not has(share, "path"):
            continue
        for other in seen:
            if share.path == other or other in share.path.parents or share.path in other.parents:
                mistakes.add(("shares", at, "path"), f"{share.path} and {other} lie in each other: share one of them")
        seen.append(share.path)


def hook_name(hook: HookSection) -> str:
    """Return what a hook is called in reports."""
    return hook.name or hook.file.name.partition(".")[0]


def check_workers(file: File, mistakes: Mistakes) -> None:
    """Hooks have names of their own, run somewhere, and end before their worker is given up."""
    seen: set[str] = set()
    for at, hook in enumerate(file.workers.hooks):
        place = ("workers", "hooks", at)
        if not has(hook, "file"):
            continue
        name = hook_name(hook)
        if wrong := what_is_wrong_with_word(name):
            mistakes.add((*place, "file"), f"{show(name)} cannot be the name of a hook: {wrong}; write a name")
        if name in seen:
            mistakes.add(place, f"there is a hook {name} already: give this one another name")
        seen.add(name)
        for key, known in (("sites", file.sites), ("pools", file.pools)):
            for word in getattr(hook, key) if has(file, key) else ():
                if word not in known:
                    text = f"there is no {key[:-1]} {show(word)}{near(word, known)}; there are: {one_of(known)}"
                    mistakes.add((*place, key), text)
        for pool, section in file.pools.items() if has(file, "pools") else ():
            if (not hook.pools or pool in hook.pools) and hook.timeout >= section.join_deadline * BOOT_SHARE:
                longest = show_duration(section.join_deadline * BOOT_SHARE)
                mistakes.add(
                    (*place, "timeout"),
                    f"is longer than the boot of pool {pool} may take ({longest}, of its join_deadline)",
                )
    for kind, products in file.workers.gpus.names.items():
        for product in products:
            if not re.fullmatch(r"[A-Za-z0-9 ._/()+-]+", product):
                mistakes.add(("workers", "gpus", "names", kind), f"{show(product)} is no name of a GPU")


def _check_eager(place: Place, pool: PoolSection, mistakes: Mistakes) -> None:
    """Where Slurm's power saving decides which nodes are up, clues has no say in it."""
    if pool.mode is not Mode.EAGER:
        return
    planned = "belongs to mode: planned"
    if pool.keep_warm:
        text = f"{planned}: Slurm powers down what is idle for too long; remove it, or give the pool a longer 'idle'"
        mistakes.add((*place, "keep_warm"), text)
    if pool.consolidate:
        mistakes.add((*place, "consolidate"), f"{planned}: Slurm decides which nodes it needs; remove it")
    if pool.hold:
        mistakes.add((*place, "hold"), f"{planned}: Slurm gives the jobs their nodes at once; remove it")
    if pool.idle == "auto":
        mistakes.add((*place, "idle"), f"'auto' {planned}: Slurm's SuspendTime is one time, such as 10min")


def _check_hold(place: Place, pool: PoolSection, mistakes: Mistakes) -> None:
    """Nothing waits for more jobs without ``hold``."""
    for name in ("max_wait", "at_once"):
        if getattr(pool, name) and not pool.hold:
            mistakes.add((*place, name), "says nothing without 'hold': how long a purchase waits for more jobs")


def check_pools(file: File, flavors: Flavors, mistakes: Mistakes) -> None:
    """Nodes belong to one pool each; offers name sites that exist and are large enough."""
    if not has(file, "pools"):
        return
    owner: dict[str, str] = {}
    total = 0
    for name, pool in file.pools.items():
        place = ("pools", name)
        if has(pool, "nodes"):
            total += len(pool.nodes)
            _check_owner(name, pool, owner, mistakes)
            _check_eager(place, pool, mistakes)
            _check_hold(place, pool, mistakes)
            most = max((one.nodes for one in pool.keep_warm), default=0)
            if most > len(pool.nodes):
                mistakes.add((*place, "keep_warm"), f"{most} nodes, but the pool has {len(pool.nodes)}")
        for key in ("features", "partitions"):
            words = getattr(pool, key) or ()
            for word in sorted({word for word in words if words.count(word) > 1}):
                mistakes.add((*place, key), f"names {word} twice")
        for feature in pool.features:
            if has(file, "sites") and feature in file.sites:
                mistakes.add(
                    (*place, "features"), f"{feature} is a site: sites are features of the nodes by themselves"
                )
            if feature in tuple(Market):
                mistakes.add(
                    (*place, "features"), f"{feature} is a market: markets are features of the nodes by themselves"
                )
        if has(pool, "offers"):
            _check_offers(file, name, pool, flavors, mistakes)
    if total > MOST:
        mistakes.add(("pools",), f"there are {total:,} nodes in all pools together: Slurm has at most {MOST:,}")


def check_pace(file: File, mistakes: Mistakes) -> None:
    """The longest pause is not shorter than the first."""
    if file.pace.retry_offer > file.pace.retry_offer_longest:
        longest = show_duration(file.pace.retry_offer_longest)
        mistakes.add(("pace", "retry_offer"), f"is longer than retry_offer_longest, which is {longest}")


def resources_of(shape: ShapeSection) -> Resources:
    """Return a complete shape as resources."""
    return Resources(shape.cpus, shape.memory, shape.gpus)


def _amounts(file: File) -> Iterator[tuple[Place, Money | None]]:
    yield from _budget(("budget",), file.budget)
    for name, budget in file.budget.accounts.items() if has(file.budget, "accounts") else ():
        yield from _budget(("budget", "accounts", name), budget)
    for name, site in file.sites.items() if has(file, "sites") else ():
        yield ("sites", name, "limits", "cost_per_hour"), site.limits.cost_per_hour
        if site.router is not None:
            yield ("sites", name, "router", "price"), site.router.price
    for name, pool in file.pools.items() if has(file, "pools") else ():
        yield from _budget(("pools", name, "budget"), pool.budget)
        for at, offer in enumerate(pool.offers if has(pool, "offers") else ()):
            yield ("pools", name, "offers", at, "price"), offer.price


def _budget(place: Place, budget: BudgetSection) -> Iterator[tuple[Place, Money | None]]:
    for name in BudgetSection.model_fields:
        yield (*place, name), getattr(budget, name, None)


def _check_owner(name: str, pool: PoolSection, owner: dict[str, str], mistakes: Mistakes) -> None:
    taken: dict[str, list[str]] = {}
    for node in pool.nodes:
        other = owner.setdefault(node.lower(), name)
        if other != name:
            taken.setdefault(other, []).append(node)
    for other, nodes in taken.items():
        short = compress(nodes)
        shown = short if len(short) <= 60 else f"{nodes[0]} and {len(nodes) - 1} more"
        mistakes.add(("pools", name, "nodes"), f"{shown} is in pool {other} already: a node belongs to one pool")


def _check_offers(file: File, name: str, pool: PoolSection, flavors: Flavors, mistakes: Mistakes) -> None:
    place = ("pools", name, "offers")
    if not pool.offers and not mistakes.has_told(place):
        mistakes.add(place, "is empty: a pool needs at least one offer")
    seen: dict[tuple[str, ...], int] = {}
    for at, offer in enumerate(pool.offers):
        here = (*place, at)
        if not has(offer, "site"):
            continue
        if has(file, "sites") and offer.site not in file.sites:
            known = one_of(file.sites)
            mistakes.add(
                (*here, "site"),
                f"there is no site {show(offer.site)}{near(offer.site, file.sites)}; there are: {known}",
            )
        if not has(offer, "flavor"):
            continue
        for flavor in offer.flavor:
            for market in offer.market:
                for zone in offer.zone:
                    first = seen.setdefault((offer.site, flavor, market, zone), at)
                    if first != at or offer.flavor.count(flavor) > 1:
                        line = mistakes.lines.get((*place, first), 0)
                        mistakes.add(here, f"offers {flavor} at {offer.site} ({market}) twice: see line {line}")
        _check_size(pool, offer, flavors.get(offer.site), here, mistakes)


def _check_size(
    pool: PoolSection, offer: OfferSection, flavors: Mapping[str, Resources] | None, place: Place, mistakes: Mistakes
) -> None:
    shape = _complete(pool.shape) if has(pool, "shape") else None
    provided: list[tuple[str, str, Resources]] = []
    if offer.provides is not None and (given := _complete(offer.provides)) is not None:
        provided.append(("provides", "this offer", given))
    for flavor in offer.flavor if flavors is not None else ():
        if flavors is None or flavor not in flavors:
            known = one_of(flavors or ())
            wrong = f"site {offer.site} has no flavor {show(flavor)}{near(flavor, flavors or ())}; it has: {known}"
            mistakes.add((*place, "flavor"), wrong)
        else:
            provided.append(("flavor", f"flavor {flavor} of site {offer.site}", flavors[flavor]))
    for key, what, resources in provided:
        if shape is not None and not shape.fits_in(resources):
            mistakes.add((*place, key), f"{what} is smaller than the pool's shape: {resources} instead of {shape}")


def _complete(shape: ShapeSection) -> Resources | None:
    return resources_of(shape) if has(shape, "cpus", "memory", "gpus") else None
