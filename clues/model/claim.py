"""A claim: one attempt to back a node (or a router) with a VM, from intent to the provider's word that it is gone."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from clues.model.catalogue import Offer
from clues.model.cloud import Kind, LaunchRequest
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


class Leaving(StrEnum):
    """Why supply has a node drained."""

    IDLE = "idle"
    #: its VM is older than the pool allows
    OLD = "old"
    #: another image or boot would be ordered today
    DIFFERS = "differs"
    #: others have room for its work
    SPARE = "spare"
    #: its site is to be empty for a maintenance
    MAINTENANCE = "maintenance"


#: Drained although they may have jobs, or would have been kept: of these a pool has a share at a time.
DISRUPTED = frozenset({Leaving.OLD, Leaving.DIFFERS, Leaving.SPARE})


@dataclass(frozen=True, slots=True)
class Facts:
    """What a worker found in itself when it enrolled, to be held against its shape."""

    cpus: int = 0
    memory_mib: int = 0
    #: ``type:count`` pairs as the worker counted them, type may be empty
    gpus: Resources = NOTHING
    #: worker's clock minus ours, in seconds, at enrolment
    clock_skew_seconds: float = 0.0
    #: fingerprints of its SSH host keys (``SHA256:...``): who shows another key is not this VM. Empty: it told none
    host_keys: tuple[str, ...] = ()


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
    #: where the cluster reaches it: the address reserved for it, else the one that the provider listed. A router's is
    #: the one that it has in its site's network
    address: str = ""
    #: the address of its own end of a tunnel (routers, workers that are attached directly); empty: it has no tunnel
    tunnel: str = ""
    #: hardware address of its network card, as listed
    mac: str = ""
    #: every address that the provider lists for it
    listed_addresses: tuple[str, ...] = ()
    #: SHA-256 (hex) of the public key (DER) that it enrolled with: who holds that key is this VM
    identity: str = ""
    #: a router's self-signed certificate for tunnels to other routers: SHA-256, upper case with colons
    fingerprint: str = ""
    instance_id: str = ""
    #: jobs that it was bought for, the most urgent first, and how many tasks of each (empty: one); the gang among them,
    #: and how many nodes of it must be opened together
    jobs: tuple[str, ...] = ()
    tasks: tuple[int, ...] = ()
    gang: str = ""
    gang_size: int = 0
    #: the Slurm account that it was bought for, which pays for it until its first job; empty: its pool
    account: str = ""
    #: times that the launch was sent; the last time it was, and whether its effect is still unknown
    launches: int = 0
    launched_at: datetime | None = None
    #: launch keys of all that are asked for in one call with it, in order, its own among them; empty: it is asked for
    #: alone. It is committed before the call, and stays until the provider has refused it: only the same call again
    #: makes no second VM
    batch: tuple[str, ...] = ()
    #: the most that may be asked for in one call with it, as the quota did not hold more; 0: as many as the site takes
    batch_most: int = 0
    #: when the provider first listed its VM as running
    listed_at: datetime | None = None
    enrolled_at: datetime | None = None
    facts: Facts | None = None
    #: when the node was first seen registered with all checks passed (a router: its tunnel up)
    ready_at: datetime | None = None
    opened_at: datetime | None = None
    #: when its node was first seen busy, and since when it is idle without a break (a router: without a worker)
    used_at: datetime | None = None
    idle_since: datetime | None = None
    #: when the first of the complete listings that lack it was taken; None again once it is listed
    missing_since: datetime | None = None
    #: since when its tunnel is up without a break; else when the first of the looks at the central points that lack it
    #: was taken (both None: they could not be asked)
    tunnel_since: datetime | None = None
    tunnel_missing_since: datetime | None = None
    #: a worker behind a router: since when there is no way to its site (None: there is one)
    cut_off_since: datetime | None = None
    #: when the provider gave notice that it takes the VM back: nothing new starts there, whatever is wanted
    reclaimed_at: datetime | None = None
    #: when the provider was last asked to end it
    terminated_at: datetime | None = None
    #: when the provider last answered that it will, or that it has no such VM
    confirmed_at: datetime | None = None
    #: since when the provider says instead that its VM is there but does not carry our tags: then it is not ended
    untagged_since: datetime | None = None
    ended_at: datetime | None = None
    #: the reason of an admin who took the node out of service in Slurm meanwhile. Kept here because a registering
    #: slurmd erases the reason of a drained node (22.05), and the node must not come back into service by that
    held_by: str = ""
    #: an operator asked for this end (or start); the idle rule does not undo it
    by_operator: bool = False
    #: found by its tags, without a record of ours
    adopted: bool = False
    #: it only tries an image: its node is never opened, and it ends as soon as it is known how that went
    probe: bool = False
    #: what its VM was told at its boot, as a fingerprint; empty: not known
    recipe: str = ""
    #: why supply has it drained; None: it has not
    leaving: Leaving | None = None
    #: short code of what made it fail ("no-capacity", "boot", "check", ...)
    failure: str = ""

    @property
    def live(self) -> bool:
        """It may have a VM, or is about to get one."""
        return self.state is not ClaimState.GONE

    @property
    def attached_directly(self) -> bool:
        """It is a worker with a tunnel of its own, which is where the cluster reaches it."""
        return bool(self.tunnel) and self.kind is Kind.WORKER

    @property
    def wanted_address(self) -> str:
        """The address that the provider shall give its VM; empty: the provider chooses."""
        return "" if self.attached_directly else self.address

    @property
    def serving(self) -> bool:
        """Its node runs jobs or soon will: counted as supply when demand is reckoned."""
        return self.state in SERVING

    def launch_request(self, cluster: str, user_data: str) -> LaunchRequest:
        """Return what is asked of the provider for its VM, without the offer's price: that may change, and a repeated
        launch sends the same bytes."""
        return LaunchRequest(
            cluster=cluster,
            launch_key=self.key,
            kind=self.kind,
            node=self.node,
            pool=self.pool,
            generation=self.generation,
            offer=replace(self.offer, price_per_hour=None),
            shape=self.shape,
            user_data=user_data,
            address=self.wanted_address,
            gang=self.gang,
            batch=self.batch,
        )


#: On the way: bought, and not open yet.
COMING = frozenset({ClaimState.PLANNED, ClaimState.LAUNCHING, ClaimState.BOOTING, ClaimState.JOINING})

#: Running jobs, or soon able to.
SERVING = COMING | {ClaimState.READY}
