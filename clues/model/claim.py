"""A claim: one attempt to back a node (or a router) with a VM, from intent to the provider's word that it is gone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from clues.model.catalogue import Offer
from clues.model.cloud import Kind
from clues.model.resources import NOTHING, Resources


class ClaimState(StrEnum):
    """Where a claim is in its life; :mod:`clues.lifecycle` says how it may go on."""

    PLANNED = "planned"
    LAUNCHING = "launching"
    BOOTING = "booting"
    JOINING = "joining"
    READY = "ready"
    DRAINING = "draining"
    STOPPING = "stopping"
    FAILED = "failed"
    GONE = "gone"


@dataclass(frozen=True, slots=True)
class Facts:
    """What a worker found in itself when it enrolled, to be held against its shape."""

    cpus: int = 0
    memory_mib: int = 0
    #: ``type:count`` pairs as the worker counted them, type may be empty
    gpus: Resources = NOTHING
    #: worker's clock minus ours, in seconds, at enrolment
    clock_skew_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Claim:
    """One row of the ledger. Times are aware UTC; a time that has not come yet is None."""

    #: launch key: public, unique, the VM's tag and the provider's idempotency token
    key: str
    kind: Kind
    node: str
    pool: str
    generation: int
    offer: Offer
    shape: Resources
    state: ClaimState
    #: since when it is in this state
    since: datetime
    created_at: datetime
    reason: str = ""
    #: reserved or listed address of the VM
    address: str = ""
    instance_id: str = ""
    #: jobs that it was bought for; the gang among them, and how many nodes of it must be opened together
    jobs: tuple[str, ...] = ()
    gang: str = ""
    gang_size: int = 0
    #: times that the launch was sent; the last time it was, and whether its effect is still unknown
    launches: int = 0
    launched_at: datetime | None = None
    listed_at: datetime | None = None
    enrolled_at: datetime | None = None
    facts: Facts | None = None
    #: when the node was first seen registered with all checks passed
    ready_at: datetime | None = None
    opened_at: datetime | None = None
    #: when its node was first seen busy, and since when it is idle without a break
    used_at: datetime | None = None
    idle_since: datetime | None = None
    #: when the first of the complete listings that lack it was taken; None again once it is listed
    missing_since: datetime | None = None
    #: when the provider was last asked to end it
    terminated_at: datetime | None = None
    ended_at: datetime | None = None
    #: the reason of an admin who took the node out of service in Slurm meanwhile. Kept here because a registering
    #: slurmd erases the reason of a drained node (22.05), and the node must not come back into service by that
    held_by: str = ""
    #: an operator asked for this end (or start); the idle rule does not undo it
    by_operator: bool = False
    #: found by its tags, without a record of ours
    adopted: bool = False
    #: short code of what made it fail ("no-capacity", "boot", "check", ...)
    failure: str = ""

    @property
    def live(self) -> bool:
        """It may have a VM, or is about to get one."""
        return self.state is not ClaimState.GONE

    @property
    def serving(self) -> bool:
        """Its node runs jobs or soon will: counted as supply when demand is reckoned."""
        return self.state in SERVING


#: On the way: bought, and not open yet.
COMING = frozenset({ClaimState.PLANNED, ClaimState.LAUNCHING, ClaimState.BOOTING, ClaimState.JOINING})

#: Running jobs, or soon able to.
SERVING = COMING | {ClaimState.READY}
