"""From the file to values: read, check everything, and only then build the settings.

Loading has no effect but reading the file, so the daemon can try a new configuration and keep the old one.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from clues.config import checks, document
from clues.config.fields import Endpoint
from clues.config.mistakes import Mistakes
from clues.config.models import File, PoolSection, SiteSection
from clues.config.plugins import CONNECTORS, LRMS, OVERLAYS, Plugins, find_plugin, flavors_of, read_config
from clues.config.sections import has, read_section
from clues.errors import ConfigError
from clues.model import Limits, Offer, Pace, Pool, Resources, Settings, Site
from clues.units import Money

#: where the configuration of an installed clues is
DEFAULT_FILE = Path("/etc/clues/clues.yaml")


@dataclass(frozen=True, slots=True)
class Loaded:
    """A checked configuration: the core's settings, and what each plugin is built from."""

    path: Path
    settings: Settings
    #: by site: the connector's name and its checked ``Config``
    sites: Mapping[str, tuple[str, Any]]
    #: name and checked ``Config``
    lrms: tuple[str, Any]
    overlay: tuple[str, Any]
    #: the cluster's own range in CIDR form, and where other sites reach the front-end; empty when not given
    overlay_network: str
    public_host: str
    #: where the enrolment service listens, and where workers find it (port 0: the one that it listens on)
    enrolment_listen: Endpoint
    enrolment_address: Endpoint
    #: the daemon's folder, and the socket of its API
    state: Path
    socket: Path
    #: what one unit of another currency is worth in the cluster's
    rates: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Summary:
    """How large a configuration is."""

    sites: int
    pools: int
    nodes: int
    offers: int

    def __str__(self) -> str:
        return f"{self.sites} sites, {self.pools} pools, {self.nodes} nodes, {self.offers} offers"


@dataclass(frozen=True, slots=True)
class Checked:
    """What ``clues config check`` tells: each mistake on a line of its own, and the summary when there is none."""

    errors: tuple[str, ...]
    summary: Summary | None


def load(path: Path, plugins: Plugins) -> Loaded:
    """Read and check the configuration file.

    :param plugins: what is installed: group of entry points, then name, then the plugin.
    :raises ConfigError: its text lists every mistake, one a line, with file, line, what was found and the cure.
    """
    loaded, mistakes = _load(path, plugins)
    if loaded is None:
        raise ConfigError("\n".join(mistakes.render()))
    return loaded


def check(path: Path, plugins: Plugins) -> Checked:
    """Return every mistake of the file, or how large it is."""
    loaded, mistakes = _load(path, plugins)
    if loaded is None:
        return Checked(mistakes.render(), None)
    pools = loaded.settings.pools.values()
    nodes, offers = sum(len(pool.nodes) for pool in pools), sum(len(pool.offers) for pool in pools)
    return Checked((), Summary(len(loaded.sites), len(pools), nodes, offers))


def _load(path: Path, plugins: Plugins) -> tuple[Loaded | None, Mistakes]:
    mistakes = Mistakes(str(path))
    raw = document.read(path, mistakes)
    if raw is None:
        return None, mistakes
    file = read_section(File, raw, (), mistakes)
    overlay = _part(plugins, OVERLAYS, file, raw, "overlay", mistakes)
    lrms = _part(plugins, LRMS, file, raw, "lrms", mistakes)
    sites, flavors = _sites(plugins, file, raw, mistakes)
    checks.check_names(file, mistakes)
    checks.check_money(file, mistakes)
    checks.check_pools(file, flavors, mistakes)
    checks.check_pace(file, mistakes)
    address = _enrolment_address(file)
    told = any(mistakes.has_told(place) for place in (("enrolment",), ("overlay",)))
    if address is None and not told:
        missing = "cannot tell where workers find it: write enrolment.address, overlay.public or overlay.network"
        mistakes.add(("enrolment",), missing)
    if mistakes.found or address is None:
        return None, mistakes
    loaded = Loaded(
        path=path,
        settings=_settings(file),
        sites=sites,
        lrms=lrms,
        overlay=overlay,
        overlay_network=file.overlay.network or "",
        public_host=file.overlay.public or "",
        enrolment_listen=file.enrolment.listen,
        enrolment_address=address,
        state=file.state,
        socket=file.socket,
        rates=dict(file.rates),
    )
    return loaded, mistakes


def _part(
    plugins: Plugins, group: str, file: File, raw: dict[str, Any], key: str, mistakes: Mistakes
) -> tuple[str, Any]:
    """Return the name and the ``Config`` of the LRMS or the overlay."""
    section = file.overlay if group == OVERLAYS else file.lrms
    if (key, "type") in mistakes.lines and "type" not in section.model_fields_set:
        return section.type, None  # its type could not be read, so nobody can say which keys it has
    plugin = find_plugin(plugins, group, section.type, (key, "type"), mistakes)
    config = None if plugin is None else read_config(plugin, section, raw.get(key), (key,), mistakes)
    return section.type, config


def _sites(
    plugins: Plugins, file: File, raw: dict[str, Any], mistakes: Mistakes
) -> tuple[dict[str, tuple[str, Any]], dict[str, Mapping[str, Resources]]]:
    """Return by site its connector and ``Config``, and what its flavors have where that can be told."""
    sites: dict[str, tuple[str, Any]] = {}
    flavors: dict[str, Mapping[str, Resources]] = {}
    ranges: list[str] = []
    attaches = getattr(plugins.get(OVERLAYS, {}).get(file.overlay.type), "attaches", None)
    for name, site in file.sites.items() if has(file, "sites") else ():
        place = ("sites", name)
        if attaches is not None and site.attach not in attaches:
            allowed = ", ".join(sorted(attaches))
            mistakes.add((*place, "attach"), f"the overlay '{file.overlay.type}' has only: {allowed}")
        if not has(site, "connector"):
            continue
        plugin = find_plugin(plugins, CONNECTORS, site.connector, (*place, "connector"), mistakes)
        if plugin is None:
            continue
        config = read_config(plugin, site, raw["sites"][name], place, mistakes)
        sites[name] = (site.connector, config)
        if site.network and getattr(plugin, "network_is_cidr", False):
            ranges.append(name)
        if (told := flavors_of(plugin, config, place, mistakes)) is not None:
            flavors[name] = told
    checks.check_networks(file, ranges, mistakes)
    return sites, flavors


def _enrolment_address(file: File) -> Endpoint | None:
    enrolment, overlay = file.enrolment, file.overlay
    if enrolment.address is not None:
        return enrolment.address if enrolment.address.port else Endpoint(enrolment.address.host, enrolment.listen.port)
    if overlay.public:
        return Endpoint(overlay.public, enrolment.listen.port)
    if overlay.network:
        # The hub has the first address of the range, at whichever site a worker is.
        return Endpoint(str(ipaddress.ip_network(overlay.network)[1]), enrolment.listen.port)
    return None


def _settings(file: File) -> Settings:
    pace = {name: getattr(file.pace, name) for name in type(file.pace).model_fields}
    return Settings(
        cluster=file.cluster,
        sites={name: _site(file, name, site) for name, site in file.sites.items()},
        pools={name: _pool(file, name, pool) for name, pool in file.pools.items()},
        currency=file.currency,
        pace=Pace(**pace),
        budget_per_day=_converted(file, file.budget.per_day),
    )


def _site(file: File, name: str, site: SiteSection) -> Site:
    limits = Limits(
        vms=site.limits.vms,
        cpus=site.limits.cpus,
        gpus=site.limits.gpus,
        memory_mib=site.limits.memory,
        cost_per_hour=_converted(file, site.limits.cost_per_hour),
    )
    return Site(name, site.connector, site.attach, limits, site.network, site.disabled)


def _pool(file: File, name: str, pool: PoolSection) -> Pool:
    offers = tuple(
        Offer(offer.site, flavor, offer.image, market, _converted(file, offer.price), zone)
        for offer in pool.offers
        for flavor, market, zone in product(offer.flavor, offer.market, offer.zone)
    )
    return Pool(
        name=name,
        nodes=pool.nodes,
        shape=checks.resources_of(pool.shape),
        offers=offers,
        features=frozenset(pool.features),
        partitions=(name,) if pool.partitions is None else pool.partitions,
        idle=pool.idle,
        mode=pool.mode,
        keep_warm=pool.keep_warm.nodes,
        span=pool.span,
        boot_deadline=pool.boot_deadline,
        join_deadline=pool.join_deadline,
    )


def _converted(file: File, money: Money | None) -> float | None:
    """Return an amount in the cluster's currency; that there is a rate has been checked."""
    if money is None:
        return None
    return money.amount if money.currency == file.currency else money.amount * file.rates[money.currency]
