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
    #: hardware addresses of its network cards, lower case with colons, as far as the provider tells
    macs: tuple[str, ...] = ()
    created_at: datetime | None = None
    #: the provider's words when the state is an error
    fault: str = ""
    #: what that amounts to, by its name in :data:`clues.errors.CLOUD_ERRORS`; empty where the provider does not say
    fault_code: str = ""


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
    #: VMs with the same name here shall stand close together, where the provider can do that; empty: anywhere
    gang: str = ""
    #: launch keys of all requests that make up one call with this one, in order; empty: it is a call of its own. They
    #: share their user-data, in which each VM finds what is its own
    batch: tuple[str, ...] = ()


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
class Price:
    """What one hour of a VM costs, and who says so."""

    amount: float
    currency: str
    #: who tells it, in words: ``spot price history``, ``price table of libcloud``
    source: str
    #: since when it holds, or how old the source is; None where that is not known
    as_of: datetime | None = None


@dataclass(frozen=True, slots=True)
class VmLog:
    """The end of what a VM has written, fit to be shown."""

    node: str
    site: str
    instance_id: str
    #: ``console`` or ``boot log``
    source: str
    text: str


@dataclass(frozen=True, slots=True)
class SshWay:
    """How a VM is reached by SSH, and known."""

    node: str
    #: its launch key
    claim: str
    address: str
    #: fingerprints of its host keys, as it told them when it enrolled
    host_keys: tuple[str, ...]
    #: empty where the configuration does not say
    user: str = ""
    identity: str = ""
    port: int = 22


class Soundness(StrEnum):
    """What an examination found."""

    GOOD = "good"
    BAD = "bad"
    #: it could not be told, which is not the same as good
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at for ``clues doctor``."""

    #: what was looked at, in a word or two: ``credentials``, ``image clues-worker``
    topic: str
    soundness: Soundness
    text: str
    #: what to do about it; empty where nothing has to be done
    cure: str = ""


@dataclass(frozen=True, slots=True)
class Flavor:
    """An instance type; ``price_per_hour`` in ``currency``, None when the provider does not say."""

    name: str
    resources: Resources
    price_per_hour: float | None = None
    currency: str = ""
