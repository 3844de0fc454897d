"""What the fake remembers, and the knobs that tests turn."""

from __future__ import annotations

import ipaddress
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any


def new_id() -> str:
    """Return an id as the services make them."""
    return str(uuid.uuid4())


def now() -> datetime:
    """Return the time at the cloud."""
    return datetime.now(UTC)


def stamp(at: datetime) -> str:
    """Return a time as nova and neutron write it."""
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass
class Token:
    """A token of keystone's; its project is empty where it is unscoped."""

    user: str
    project: str
    methods: list[str]
    issued: datetime
    expires: datetime
    application_credential: str = ""


@dataclass
class AppCredential:
    """An application credential."""

    id: str
    name: str
    secret: str
    user: str
    project: str
    expires: datetime | None = None


@dataclass
class Project:
    """A project with its quotas; -1 is no limit."""

    id: str
    name: str
    instances: int = 10
    cores: int = 40
    ram: int = 102400
    ports: int = 500
    floating_ips: int = 5
    server_groups: int = 10


@dataclass
class Flavor:
    """An instance type; memory in MiB, disk in GiB."""

    id: str
    name: str
    vcpus: int
    ram: int
    disk: int = 20
    extra_specs: dict[str, str] = field(default_factory=dict)


@dataclass
class Image:
    """An image of glance's."""

    id: str
    name: str
    owner: str
    status: str = "active"
    visibility: str = "private"
    min_disk: int = 0
    min_ram: int = 0


@dataclass
class Network:
    """A network of neutron's with its subnets."""

    id: str
    name: str
    project: str
    external: bool = False
    shared: bool = False
    port_security: bool = True


@dataclass
class Subnet:
    """A subnet; addresses without a wish come out of its pool."""

    id: str
    name: str
    project: str
    network: str
    cidr: str
    pool: tuple[str, str]

    def holds(self, address: str) -> bool:
        """Whether a host may have this address."""
        net = ipaddress.ip_network(self.cidr)
        one = ipaddress.ip_address(address)
        return one in net and one not in (net.network_address, net.broadcast_address)


@dataclass
class Port:
    """A port; ``made_by_nova`` dies with its server."""

    id: str
    project: str
    network: str
    subnet: str
    address: str
    mac: str
    name: str = ""
    description: str = ""
    device: str = ""
    owner: str = ""
    #: the server that it will be bound to when that is built
    awaited_by: str = ""
    security_groups: list[str] = field(default_factory=list)
    pairs: list[dict[str, str]] = field(default_factory=list)
    created: datetime = field(default_factory=now)
    made_by_nova: bool = False


@dataclass
class FloatingIp:
    """A floating IP."""

    id: str
    project: str
    network: str
    address: str
    port: str = ""
    description: str = ""
    created: datetime = field(default_factory=now)


@dataclass
class SecurityGroup:
    """A security group."""

    id: str
    name: str
    project: str


@dataclass
class ServerGroup:
    """A server group; its members are those of its servers that live."""

    id: str
    name: str
    project: str
    policy: str


@dataclass
class Server:
    """A server as nova keeps it."""

    id: str
    name: str
    project: str
    user: str
    flavor: Flavor
    image: str
    created: datetime
    #: it is built by then
    built_at: datetime
    metadata: dict[str, str]
    tags: list[str]
    zone: str = ""
    key_name: str | None = None
    config_drive: bool = False
    user_data: str = ""
    group: str = ""
    volumes: list[dict[str, Any]] = field(default_factory=list)
    fault: dict[str, Any] | None = None
    #: what a test put it into, instead of what it would be
    forced: str = ""
    locked: bool = False
    deleted_at: datetime | None = None
    description: str | None = None
    console: str = "booting\nlogin: \n"


@dataclass
class State:
    """All of it."""

    public_url: str = ""
    projects: dict[str, Project] = field(default_factory=dict)
    #: by name: (id, password)
    users: dict[str, tuple[str, str]] = field(default_factory=dict)
    tokens: dict[str, Token] = field(default_factory=dict)
    credentials: dict[str, AppCredential] = field(default_factory=dict)
    flavors: dict[str, Flavor] = field(default_factory=dict)
    images: dict[str, Image] = field(default_factory=dict)
    networks: dict[str, Network] = field(default_factory=dict)
    subnets: dict[str, Subnet] = field(default_factory=dict)
    ports: dict[str, Port] = field(default_factory=dict)
    floating: dict[str, FloatingIp] = field(default_factory=dict)
    groups: dict[str, SecurityGroup] = field(default_factory=dict)
    server_groups: dict[str, ServerGroup] = field(default_factory=dict)
    servers: dict[str, Server] = field(default_factory=dict)
    keypairs: set[str] = field(default_factory=lambda: {"ops"})
    zones: set[str] = field(default_factory=lambda: {"nova", "gpu-zone"})

    # --- the issuer: access tokens that are good, with the user they are for; refresh tokens
    access_tokens: dict[str, str] = field(default_factory=dict)
    refresh_tokens: set[str] = field(default_factory=set)
    client_secret: str = ""
    rotates: bool = False

    # --- knobs ---
    regions: tuple[str, ...] = ("RegionOne",)
    token_life: timedelta = timedelta(hours=1)
    password_expires: datetime | None = None
    max_version: tuple[int, int] = (2, 96)
    latency: float = 0.0
    build_time: timedelta = timedelta(milliseconds=30)
    delete_time: timedelta = timedelta(milliseconds=30)
    page: int = 1000
    #: flavors by name for which no host has room
    full: set[str] = field(default_factory=set)
    #: next deletes that are refused (409), or accepted without anything happening
    refuse_deletes: int = 0
    ignore_deletes: int = 0
    #: next listings that show each server twice
    doubled: int = 0
    #: a marker that leads to itself
    looping: bool = False
    #: next requests to nova that are too many
    over_limit: int = 0
    #: servers in a cell that does not answer, by id
    down: set[str] = field(default_factory=set)
    #: actions that the policy does not allow, such as ``os_compute_api:servers:create``
    forbidden: set[str] = field(default_factory=set)
    #: neutron: (method, what) -> how often it fails with 500 from now on, such as ("DELETE", "ports")
    neutron_fails: dict[tuple[str, str], int] = field(default_factory=dict)
    #: lists of neutron and glance ignore all filters, as those ignore what they do not know
    deaf: bool = False
    l3: bool = True
    shares_specs: bool = True

    def project(self, name: str) -> Project:
        """Return a project by its name."""
        return next(one for one in self.projects.values() if one.name == name)


def new_project(state: State, name: str, project_id: str) -> Project:
    """Make a project with a user of the same name (password ``secret``), a network, security groups and images."""
    made = state.projects[project_id] = Project(project_id, name)
    state.users[name] = (uuid.uuid4().hex, "secret")
    number = len(state.projects)
    network = Network(new_id(), f"{name}-net", project_id)
    state.networks[network.id] = network
    prefix = f"10.77.{number}"
    subnet = Subnet(
        new_id(), f"{name}-subnet", project_id, network.id, f"{prefix}.0/24", (f"{prefix}.2", f"{prefix}.8")
    )
    state.subnets[subnet.id] = subnet
    for group in ("default", "workers"):
        one = SecurityGroup(new_id(), group, project_id)
        state.groups[one.id] = one
    image = Image(new_id(), "clues-worker", project_id)
    state.images[image.id] = image
    if number == 1:
        outside = Network(new_id(), "public", "admin", external=True, shared=True)
        state.networks[outside.id] = outside
        part = Subnet(
            new_id(), "public-subnet", "admin", outside.id, "203.0.113.0/24", ("203.0.113.10", "203.0.113.99")
        )
        state.subnets[part.id] = part
        for flavor in (
            Flavor("1", "m1.small", 2, 4096),
            Flavor(new_id(), "gpu.a10", 8, 65536, 80, {"pci_passthrough:alias": "a10-24g:1"}),
            Flavor(new_id(), "diskless", 4, 8192, 0),
        ):
            state.flavors[flavor.id] = flavor
    return made
