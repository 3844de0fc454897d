"""What a provider is asked and what it answers."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from clues.errors import CloudError
from clues.model.catalogue import Limits, Offer
from clues.model.resources import Resources


class Kind(StrEnum):
    """What a VM is for."""

    WORKER = "worker"
    ROUTER = "router"


class InstanceState(StrEnum):
    """A provider's states, reduced to what decides something."""

    PENDING = "pending"
    RUNNING = "running"
    STOPPING = "stopping"
    #: it exists but does not run: powered off, shelved, suspended (still ours to delete)
    STOPPED = "stopped"
    #: the provider failed to make or keep it
    ERROR = "error"
    #: the provider itself says that it is terminated
    GONE = "gone"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Instance:
    """A VM as the provider lists it, with the tags that it was launched with."""

    id: str
    site: str
    state: InstanceState
    #: the tags; empty where a tag is missing
    cluster: str = ""
    launch_key: str = ""
    node: str = ""
    kind: str = ""
    pool: str = ""
    generation: int = 0
    offer: str = ""
    addresses: tuple[str, ...] = ()
    created_at: datetime | None = None
    #: the provider's words when the state is an error
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Listing:
    """All instances that carry this cluster's tag at one site, complete at ``taken_at`` (else it is an error)."""

    site: str
    taken_at: datetime
    instances: tuple[Instance, ...]


@dataclass(frozen=True, slots=True)
class LaunchRequest:
    """One VM to be made. The same launch key always comes with the same bytes."""

    cluster: str
    launch_key: str
    kind: Kind
    node: str
    pool: str
    generation: int
    offer: Offer
    #: the shape that the VM has to satisfy (a provider that composes VMs freely makes it so)
    shape: Resources
    user_data: str = field(repr=False)
    #: reserved address, or empty when the provider chooses
    address: str = ""


@dataclass(frozen=True, slots=True)
class LaunchOutcome:
    """What became of one request: an instance or one typed error, never both."""

    launch_key: str
    instance: Instance | None = None
    error: CloudError | None = None


@dataclass(frozen=True, slots=True)
class Quota:
    """What the provider allows us at this site and what we use of it."""

    limits: Limits
    used: Resources = field(default_factory=Resources)
    vms_used: int = 0


@dataclass(frozen=True, slots=True)
class Flavor:
    """An instance type; ``price_per_hour`` in ``currency``, None when the provider does not say."""

    name: str
    resources: Resources
    price_per_hour: float | None = None
    currency: str = ""
