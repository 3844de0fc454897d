"""From the file to values: read, check everything, and only then build the settings.

Loading has no effect but reading the file, so the daemon can try a new configuration and keep the old one.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from clues.config import checks, document
from clues.config.api_checks import check_api
from clues.config.api_values import Api, api_of
from clues.config.building import accounts_of, front_ends_of, notify_of, settings_of, shares_of, ssh_of, workers_of
from clues.config.mistakes import Mistakes
from clues.config.models import File
from clues.config.network_fields import Endpoint
from clues.config.plugins import CONNECTORS, LRMS, OVERLAYS, Plugins, find_plugin, flavors_of, read_config, tell
from clues.config.sections import has, read_section
from clues.config.values import Accounts, FrontEnds, Notify, Service, Share, Ssh, Workers
from clues.errors import ConfigError
from clues.model import Attach, Kind, Resources, Settings
from clues.places import Places

#: where the configuration of an installed clues is
DEFAULT_FILE = Path("/etc/clues/clues.yaml")

#: where NFSv4 is served
NFS_PORT = 2049


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
    #: where the enrolment front listens, and where VMs find it: those in the front-end's network, those behind a
    #: router, and routers and directly attached workers, which come from the internet
    enrolment_listen: Endpoint
    enrolment_address: Endpoint
    enrolment_inside: Endpoint
    enrolment_public: Endpoint
    #: the daemon's folder, and the socket of its API
    state: Path
    socket: Path
    #: what one unit of another currency is worth in the cluster's
    rates: Mapping[str, float]
    #: how workers know the users, and the folders that they mount
    accounts: Accounts
    shares: tuple[Share, ...]
    #: how VMs start and end
    workers: Workers
    #: all ports of the front-end that members of the cluster may reach
    services: tuple[Service, ...]
    #: how VMs are reached by SSH; None: they are not
    ssh: Ssh | None = None
    #: how two front-ends agree on which is active; None: there is one
    front_ends: FrontEnds | None = None
    #: who is told of alarms
    notify: Notify = field(default_factory=Notify)
    #: what the file holds, before anything was made of it
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False)
    #: where Prometheus finds the metrics over HTTP; None: nowhere
    metrics_listen: Endpoint | None = None
    #: who may call the API from other machines, and how much
    api: Api = field(default_factory=Api)

    @property
    def places(self) -> Places:
        """Where the processes of this cluster keep what they share."""
        return Places(self.state, self.socket)

    def enrolment_at(self, kind: Kind, attach: Attach) -> Endpoint:
        """Return where a VM of this kind, at a site attached so, finds the enrolment front."""
        if kind is Kind.ROUTER or attach is Attach.DIRECT:
            return self.enrolment_public
        return self.enrolment_inside if attach is Attach.ROUTER else self.enrolment_address

    @property
    def enrolment_names(self) -> tuple[str, ...]:
        """Every name and address by which a VM calls the enrolment front: its certificate has them all."""
        ways = (self.enrolment_address, self.enrolment_inside, self.enrolment_public)
        return tuple(dict.fromkeys(way.host for way in ways))


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
    return (None if raw is None else checked(path, raw, plugins, mistakes)), mistakes


def checked(path: Path, raw: dict[str, Any], plugins: Plugins, mistakes: Mistakes) -> Loaded | None:
    """Return the configuration that a file's content stands for; None when there are *mistakes*, which are noted."""
    file = read_section(File, raw, (), mistakes)
    overlay = _part(plugins, OVERLAYS, file, raw, "overlay", mistakes)
    lrms = _part(plugins, LRMS, file, raw, "lrms", mistakes)
    sites, flavors = _sites(plugins, file, raw, mistakes)
    checks.check_names(file, mistakes)
    checks.check_money(file, mistakes)
    checks.check_routers(file, flavors, mistakes)
    checks.check_pools(file, flavors, mistakes)
    checks.check_pace(file, mistakes)
    checks.check_shares(file, mistakes)
    checks.check_workers(file, mistakes)
    check_api(file.api, mistakes)
    front = _told(plugins, OVERLAYS, overlay, "front", "", mistakes)
    ways = _ways(file, front)
    told = any(mistakes.has_told(place) for place in (("enrolment",), ("overlay",)))
    if ways is None and not told:
        missing = "cannot tell where workers find it: write enrolment.address, overlay.public or overlay.network"
        mistakes.add(("enrolment",), missing)
    services = _services(plugins, file, lrms, overlay, mistakes)
    if mistakes.found or ways is None:
        return None
    settings = settings_of(file, flavors)
    for place, text in _told(plugins, OVERLAYS, overlay, "mistakes", (), mistakes, settings):
        mistakes.add(place, text)
    if mistakes.found:
        return None
    address, inside, public = ways
    return Loaded(
        path=path,
        settings=settings,
        sites=sites,
        lrms=lrms,
        overlay=overlay,
        overlay_network=file.overlay.network or "",
        public_host=file.overlay.public or "",
        enrolment_listen=file.enrolment.listen,
        enrolment_address=address,
        enrolment_inside=inside,
        enrolment_public=public,
        state=file.state,
        socket=file.socket,
        rates=dict(file.rates),
        accounts=accounts_of(file),
        shares=shares_of(file),
        workers=workers_of(file),
        ssh=ssh_of(file),
        front_ends=front_ends_of(file),
        notify=notify_of(file),
        services=services,
        raw=raw,
        metrics_listen=file.metrics.listen,
        api=api_of(file.api),
    )


def _told(
    plugins: Plugins, group: str, part: tuple[str, Any], what: str, nothing: Any, mistakes: Mistakes, *more: Any
) -> Any:
    """Return what the LRMS's or the overlay's plugin tells of its checked part of the file."""
    plugin, key = plugins.get(group, {}).get(part[0]), "overlay" if group == OVERLAYS else "lrms"
    return tell(plugin, what, nothing, part[1], *more, place=(key,), mistakes=mistakes)


def _services(
    plugins: Plugins, file: File, lrms: tuple[str, Any], overlay: tuple[str, Any], mistakes: Mistakes
) -> tuple[Service, ...]:
    own = [("tcp", file.enrolment.listen.port, file.enrolment.listen.port)]
    if any(not share.server for share in file.shares):
        own.append(("tcp", NFS_PORT, NFS_PORT))
    of_lrms = _told(plugins, LRMS, lrms, "services", (), mistakes)
    of_overlay = _told(plugins, OVERLAYS, overlay, "services", (), mistakes)
    return tuple(dict.fromkeys(Service(*one) for one in (*own, *of_lrms, *of_overlay)))


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
        if site.attach is Attach.ROUTER or (site.network and getattr(plugin, "network_is_cidr", False)):
            ranges.append(name)
        if (told := flavors_of(plugin, config, place, mistakes)) is not None:
            flavors[name] = told
    checks.check_networks(file, ranges, mistakes)
    return sites, flavors


def _ways(file: File, front: str) -> tuple[Endpoint, Endpoint, Endpoint] | None:
    """Return where VMs in the front-end's network, behind a router and in the internet find the enrolment front."""
    enrolment, overlay = file.enrolment, file.overlay

    def at(way: Endpoint | str) -> Endpoint:
        host, port = (way, 0) if isinstance(way, str) else (way.host, way.port)
        return Endpoint(host, port or enrolment.listen.port)

    # The front-end has the first address of the range, at whichever site a worker is.
    first = str(ipaddress.ip_network(overlay.network)[1]) if overlay.network else ""
    address = enrolment.address or overlay.public or first
    if not address:
        return None
    return at(address), at(enrolment.address or front or address), at(enrolment.public or overlay.public or address)
