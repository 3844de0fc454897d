"""What the processes around the daemon take from the configuration: accounts, shared folders, hooks, ports."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from clues.config.network_fields import Endpoint

#: The share of the time to join in which a VM's boot has to end, so that its last word comes before it is given up.
BOOT_SHARE = 0.8

#: What a share is mounted with, whatever else its options say.
_ALWAYS = ("nosuid", "nodev")


@dataclass(frozen=True, slots=True)
class Accounts:
    """Which users and groups of the front-end the workers get; user and group ids alike."""

    export: bool = False
    first: int = 1000
    last: int = 59999

    def takes(self, number: int) -> bool:
        """Return whether a user or group of this id is exported."""
        return self.export and self.first <= number <= self.last


@dataclass(frozen=True, slots=True)
class Share:
    """A folder that workers mount at the same path."""

    path: Path
    #: empty: the front-end
    server: str = ""
    type: str = "nfs4"
    options: str = ""

    def mount(self, front: str) -> tuple[str, str, str, str]:
        """Return (source, target, type, options) as a worker mounts it.

        :param front: the front-end's name or address as the worker reaches it.
        """
        server = self.server or front
        source = f"[{server}]:{self.path}" if ":" in server else f"{server}:{self.path}"
        given = [word for word in self.options.split(",") if word and word not in _ALWAYS]
        return source, str(self.path), self.type, ",".join((*_ALWAYS, *given))


@dataclass(frozen=True, slots=True)
class Hook:
    """A program of the site that workers run when they start."""

    name: str
    #: at the front-end
    file: Path
    timeout: timedelta
    #: a worker on which it fails is given up
    required: bool = True
    #: none: everywhere
    sites: tuple[str, ...] = ()
    pools: tuple[str, ...] = ()

    def runs_at(self, site: str, pool: str) -> bool:
        """Return whether workers of this pool at this site run it."""
        return (not self.sites or site in self.sites) and (not self.pools or pool in self.pools)


@dataclass(frozen=True, slots=True)
class GpuChecks:
    """What is looked at on a worker with GPUs before its slurmd starts."""

    check: bool = True
    #: the oldest driver that is taken; empty: any
    driver: str = ""
    #: what nvidia-smi calls the GPUs of a type of Slurm
    names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    ecc: bool = True
    xid: bool = True


@dataclass(frozen=True, slots=True)
class Workers:
    """How VMs start and end."""

    hooks: tuple[Hook, ...] = ()
    gpus: GpuChecks = field(default_factory=GpuChecks)
    #: without a word of slurmctld or clues for so long, a VM powers itself off; nothing: never
    dead_man: timedelta = timedelta(minutes=60)
    guard_metadata: bool = True


@dataclass(frozen=True, slots=True)
class Ssh:
    """How VMs are reached by SSH, to read their boot logs."""

    #: a path, or the name of a credential
    identity: str
    user: str = "root"
    port: int = 22


@dataclass(frozen=True, slots=True)
class FrontEnds:
    """How two front-ends agree on which of them is active."""

    #: the folder that both see
    shared: Path
    #: who could not renew the lease for so long stops acting
    lease: timedelta
    #: how often the ledger is copied whole
    snapshot: timedelta


@dataclass(frozen=True, slots=True)
class Webhook:
    """A program that is told of alarms."""

    url: str = field(repr=False)
    #: a path, or the name of a credential
    secret: str


@dataclass(frozen=True, slots=True)
class Mail:
    """People who are told of alarms."""

    to: tuple[str, ...]
    sender: str
    server: Endpoint
    #: the server is this machine: nothing has to be encrypted
    local: bool


@dataclass(frozen=True, slots=True)
class Notify:
    """Who is told of alarms."""

    webhooks: tuple[Webhook, ...] = ()
    mail: Mail | None = None


@dataclass(frozen=True, slots=True)
class Service:
    """Ports of the front-end that members of the cluster may reach."""

    #: ``tcp`` or ``udp``
    protocol: str
    first: int
    last: int

    def __str__(self) -> str:
        ports = str(self.first) if self.first == self.last else f"{self.first}-{self.last}"
        return f"{self.protocol}/{ports}"
