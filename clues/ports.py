"""What the core asks of the outside, as protocols.

A plugin is a module attribute named ``PLUGIN`` that an entry point names (groups ``clues.connectors``, ``clues.lrms``,
``clues.overlays``).  It exports its own pydantic ``Config`` model, so that ``clues.config`` can check the whole file at
once, and a ``build`` function that makes the adapter from a checked ``Config``.

All calls block and may be slow; the core makes them on its workers' threads, never on its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from clues.model import (
    CaStatus,
    CaStep,
    Claim,
    ClusterSnapshot,
    Finding,
    Flavor,
    LaunchOutcome,
    LaunchRequest,
    Listing,
    LoggedNote,
    Moment,
    Offer,
    OverlayStatus,
    Pool,
    Price,
    Published,
    Quota,
    Rehearsal,
    Settings,
    SpentRow,
    SshWay,
    VmLog,
    Wish,
)
from clues.places import Places


@dataclass(frozen=True, slots=True)
class PluginContext:
    """What every plugin is given to build itself from, besides its own checked configuration."""

    cluster: str  # the cluster's UUID, the tag of everything it makes
    name: str  # of the site (connectors), else of the cluster
    state: Path  # folder of the daemon's state
    #: what the processes of the front-end share; None where only a configuration is looked at
    places: Places | None = None
    #: ports of the front-end that members may reach, as (protocol, first, last)
    services: tuple[tuple[str, int, int], ...] = ()
    #: the cluster's own range, whose packets a site's router carries; empty where the configuration names none
    network: str = ""


class Connector(Protocol):
    """One site's cloud. Every failure is a :class:`clues.errors.CloudError`.

    It may declare ``batch``, the most VMs that it makes in one call of its provider's; without that it is one.
    """

    def list_instances(self) -> Listing:
        """Return all instances with this cluster's tag, complete, ended ones included as long as the provider shows
        them; an incomplete answer is an error, never a shorter list."""
        ...

    def launch(self, requests: Sequence[LaunchRequest]) -> list[LaunchOutcome]:
        """Make one VM for each request; one outcome each, in order. Idempotent by launch key: asked again with a key
        whose instance exists, it answers with that instance.

        Requests with a ``batch`` come whole and in its order, at most :func:`batch_of` of them: one call for all, which
        is the same call however often it is asked for. One of a gang makes all or none of them; of others some may be
        missing, for which there was no room then. A connector that makes one VM at a time takes no notice of it.
        """
        ...

    def terminate(self, instance_id: str) -> None:
        """End one instance, plug pulled. Already gone is success; only instances with our cluster's tag are ended."""
        ...

    def quota(self) -> Quota | None:
        """Return what the provider allows, or None where it does not tell."""
        ...

    def flavors(self) -> list[Flavor]:
        """Return the instance types on offer, with prices where the provider tells them."""
        ...

    def prices(self, offers: Sequence[Offer]) -> Mapping[str, Price]:
        """Return what these offers of the site cost now, by their keys; those that nobody tells are left out."""
        ...

    def credentials_until(self) -> datetime | None:
        """Return when the credentials in use end for good (not when a token ends that is renewed by itself); None where
        they do not, or where that cannot be told. Asks nobody that takes long."""
        ...

    def console(self, instance_id: str) -> str:
        """Return the end of what a VM has written on its console; empty where it has written nothing yet.

        :raises clues.errors.InvalidRequest: this provider has no consoles to read.
        """
        ...

    def examine(self, offers: Sequence[Offer]) -> list[Finding]:
        """Look whether the site can make these offers: credentials, quota, flavors, images, networks, with what to do
        about what is wrong. Changes nothing, and raises nothing: what cannot be looked at is a finding, too."""
        ...


class Lrms(Protocol):
    """The batch system. Failures are :class:`clues.errors.LrmsError`; every command is idempotent."""

    def snapshot(self) -> ClusterSnapshot:
        """Return nodes, jobs and reservations at one moment: jobs read before nodes."""
        ...

    def counters(self) -> Mapping[str, int]:
        """Return cheap counters that move whenever a job is submitted, starts or ends (about 6 ms)."""
        ...

    def open(self, nodes: Sequence[str]) -> None:
        """Let jobs start on these nodes, all in one command; only where the reason is ours or empty."""
        ...

    def drain(self, nodes: Sequence[str], reason: str) -> None:
        """Let nothing new start on these nodes; running jobs go on."""
        ...

    def power_off(self, nodes: Sequence[str], reason: str, *, vanished: bool) -> tuple[str, ...]:
        """Set down and power down those of *nodes* that, read again right now, are closed and idle (or all of them
        when their VMs have *vanished*); return the names that were."""
        ...

    def bind(self, node: str, address: str, features: Iterable[str]) -> None:
        """Tell where a node is and which of its features are active."""
        ...

    def pin(self, job: str, site: str, original: str) -> None:
        """Add *site* to a pending job's constraint *original*; an empty site puts the original back."""
        ...

    def release(self, nodes: Sequence[str]) -> None:
        """Let the batch system allocate these powered-down nodes, which it powers up by itself; only where the reason
        is ours or empty."""
        ...

    def power_up(self, nodes: Sequence[str]) -> None:
        """Have the batch system power up those of *nodes* that are powered down and not kept closed."""
        ...

    def give_up(self, nodes: Sequence[str], reason: str) -> tuple[str, ...]:
        """Set down and power down those of *nodes* that, read again right now, are being powered up: jobs that were
        given them are requeued. Return the names that were."""
        ...

    def annotate(self, job: str, text: str) -> None:
        """Have the batch system show *text* with a job, unless somebody else wrote there; no error for a job that is
        gone. *text* may hold a provider's words, of any form."""
        ...

    def forget(self, requests: Sequence[str]) -> None:
        """Drop these of a snapshot's requests; one that is gone already is no error."""
        ...

    def bootstrap(self, node: str) -> Provision:
        """Return what a new worker needs to join; its secrets by name only."""
        ...

    def render_config(self, settings: Settings) -> Mapping[str, str]:
        """Return the configuration fragments for the pools by file name (``slurm.conf`` part, ``gres.conf``)."""
        ...

    def check_config(self, settings: Settings) -> list[str]:
        """Compare the fragments with the running controller; one sentence for each difference, empty when alike."""
        ...


@dataclass(frozen=True, slots=True)
class Secret:
    """A secret that a VM shall get as a file; whoever decides so knows its name only, the signer has its content."""

    #: in the vaults of the signer (``munge``, ``tls-crypt-v2``)
    name: str
    path: str
    mode: int


@dataclass(frozen=True, slots=True)
class Provision:
    """What a VM is given when it enrols, without a secret in it: it may be logged and sent between processes. Once the
    signer has opened the secrets they are files here; so these are not shown."""

    files: tuple[tuple[str, int, bytes], ...] = field(default=(), repr=False)
    settings: Mapping[str, str] = field(default_factory=dict)
    #: started in this order
    services: tuple[str, ...] = ()
    secrets: tuple[Secret, ...] = ()
    #: file systems, as (source, target, type, options)
    mounts: tuple[tuple[str, str, str, str], ...] = ()

    def plus(self, other: Provision) -> Provision:
        """Return both together; what this one starts is started first."""
        return Provision(
            self.files + other.files,
            {**self.settings, **other.settings},
            self.services + other.services,
            self.secrets + other.secrets,
            self.mounts + other.mounts,
        )


class Vault(Protocol):
    """Where the signer finds or makes one kind of secret. Lives in the signer's process alone."""

    def open(self, launch_key: str) -> bytes:
        """Return the secret for the VM of this claim; asked again, one that is as good.

        :raises clues.errors.ConfigError: it cannot be had; the text says what the sysadmin has to mend.
        """
        ...


@dataclass(frozen=True, slots=True)
class Reservation:
    """Addresses for one claim; an empty one is for the provider to choose, or not needed."""

    address: str = ""
    tunnel: str = ""


#: Tells of a launch key and its site whether the ledger may have lost that claim.
Lost = Callable[[str, str], bool]


def nothing_lost(_key: str, _site: str) -> bool:
    """Say of every claim that the ledger has not lost it."""
    return False


class Overlay(Protocol):
    """The cluster's private network, as cluesd sees it."""

    def reserve(self, claim: Claim, claims: Iterable[Claim], now: datetime) -> Reservation:
        """Return addresses for *claim* that no other claim holds or held lately.

        :raises clues.errors.QuotaExceeded: when a range is full, or a router's one address is still held.
        """
        ...

    def routes(self, claim: Claim) -> tuple[tuple[str, str], ...]:
        """Return the static routes that the claim's VM sets at boot, as (range, gateway). Fixed by the configuration,
        since a repeated launch sends the same bytes."""
        ...

    def bootstrap(self, claim: Claim) -> Provision:
        """Return what the claim's VM needs for its part in the overlay; nothing for a worker behind a router."""
        ...

    def publish(self, claims: Iterable[Claim], now: datetime, lost: Lost = nothing_lost) -> None:
        """Write the inventory that follows from the committed claims, if it differs from what is written. Quick.

        :param lost: a member that is written down and has no claim stands as it is while this says so of it.
        :raises OSError: it cannot be written; the next commit tries again.
        """
        ...

    def status(self) -> OverlayStatus | None:
        """Return what the central points tell; None where there is none."""
        ...

    def heard(self, claim: Claim, kind: str, text: str, now: datetime) -> None:
        """Take what a router tells: ``shortcut`` (its tunnels to other routers) or ``strangers`` (hosts in its network
        that are no VM of ours), a line each. It replaces what the router told before; it is believed for display only,
        and *text* is a stranger's, of any form. Called on another thread than :meth:`status`.
        """
        ...


class Workers(Protocol):
    """Threads behind the core: calls go in, events come back in the owner's queue."""

    def submit(self, lane: str, call: Callable[[], Any], done: Callable[[Any, BaseException | None], None]) -> None:
        """Run *call* on the lane's threads; *done* is called with its result or error on the owner's thread.

        The lane ``lrms`` runs one call at a time in order, so that a snapshot submitted after a command shows its
        effect; all others run several at once. A site has three: its own for launches, and :func:`looks` and
        :func:`ends`, so that neither stands behind a long row of launches.
        """
        ...


def batch_of(connector: Connector) -> int:
    """Return the most VMs that a connector makes in one call."""
    return int(getattr(connector, "batch", 1))


def looks(site: str) -> str:
    """Return the lane on which a site is asked what there is."""
    return f"{site}/looks"


def ends(site: str) -> str:
    """Return the lane on which a site's VMs are ended."""
    return f"{site}/ends"


class Clock(Protocol):
    """Time as an argument."""

    def now(self) -> datetime:
        """Return wall time, aware, in UTC."""
        ...

    def monotonic(self) -> float:
        """Return seconds that never jump."""
        ...


class Control(Protocol):
    """What the API may ask of the daemon. Safe to call from any thread."""

    def published(self) -> Published | None:
        """Return the picture of the last tick; None before the first one has ended."""
        ...

    def wait(self, after_tick: int, timeout: float) -> Published | None:
        """Return a picture newer than *after_tick* as soon as there is one, or the present one after *timeout* s."""
        ...

    def notes(self, *, after: int = 0, about: str = "", limit: int = 100) -> list[LoggedNote]:
        """Return entries of the event log with an id above *after*, oldest first; without *after* the newest
        *limit*."""
        ...

    def history(self, since: datetime) -> list[Moment]:
        """Return what the cluster was like in each minute from *since* on, oldest first."""
        ...

    def spending(self, since: datetime, until: datetime) -> list[SpentRow]:
        """Return what was spent in each hour that began from *since* on and before *until*, oldest first."""
        ...

    def past_claims(self, node: str, limit: int) -> list[Claim]:
        """Return the latest claims of a node (or ``router-SITE``), ended or not, the newest first."""
        ...

    def wish(self, nodes: Sequence[str], wish: Wish | None, who: str) -> None:
        """Commit a standing order for pool nodes (None takes it back) and hurry a tick.

        :raises clues.errors.InvalidRequest: a name that belongs to no pool; nothing is changed then.
        """
        ...

    def pause(self, paused: bool, who: str) -> None:
        """Stop or resume buying and stopping of VMs; what runs goes on."""
        ...

    def evict(self, key: str, who: str) -> None:
        """Put the VM of a live claim out of the cluster at once: no certificate, no tunnel, no packet; then end it.

        :raises clues.errors.InvalidRequest: no live claim has this launch key.
        """
        ...

    def logs(self, node: str, *, ssh: bool) -> VmLog:
        """Return the end of the console of a node's VM, or by *ssh* of its boot log. May take as long as the provider
        does.

        :raises clues.errors.NotFound: the node has no VM, or the VM no log.
        :raises clues.errors.CluesError: it cannot be had; the text says why.
        """
        ...

    def ssh_way(self, node: str) -> SshWay:
        """Return how the VM of a node (or ``router-SITE``) is reached by SSH and known.

        :raises clues.errors.NotFound: it has none.
        :raises clues.errors.InvalidRequest: it told no host keys.
        """
        ...

    def try_image(self, site: str, image: str, flavor: str, who: str) -> Claim:
        """Start a VM that tries an image, and return its claim; it ends by itself.

        :raises clues.errors.InvalidRequest: it cannot be tried now; the text says why.
        """
        ...

    def trial(self, key: str) -> Claim:
        """Return the claim of an image's trial, ended or not.

        :raises clues.errors.NotFound: there is none of this key.
        """
        ...

    def stop_trial(self, key: str) -> None:
        """End an image's trial, if it has not ended."""
        ...

    def rehearse(self, changes: Sequence[str]) -> Rehearsal:
        """Return what the next tick would do with the configuration changed so (``pools.gpu.idle=30min``), without
        doing it. It is worked out on the caller's own thread.

        :raises clues.errors.InvalidRequest: a change that cannot be made; the text names each, with its cure.
        :raises clues.errors.Transient: there was no tick yet.
        """
        ...

    def ca_status(self) -> CaStatus:
        """Return what the signer tells of the CA.

        :raises clues.errors.Transient: the signer does not answer.
        """
        ...

    def rotate_ca(self, who: str) -> CaStep:
        """Have the signer take the next step to a new CA, and note who ordered it.

        :raises clues.errors.InvalidRequest: this step may not be taken yet; the text says why.
        :raises clues.errors.Transient: the signer does not answer.
        """
        ...


class ConnectorPlugin(Protocol):
    """What the entry point of a connector names."""

    #: pydantic model of the site's own keys (beside those that every site has)
    Config: type[Any]

    # A plugin may have ``spot_notices``: how a spot VM hears that it is to go. ``ec2``: by EC2's metadata service.
    #
    # It may have ``proof(config)``: what a VM brings of its provider's word about it when it enrols (``ec2``: the
    # signed instance identity document; empty: nothing), and ``doubt(config, instance_id, proof)``: why that does not
    # show that the VM is this instance, empty when it does.

    def build(self, config: Any, context: PluginContext) -> Connector: ...


class LrmsPlugin(Protocol):
    """What the entry point of an LRMS names."""

    Config: type[Any]

    def build(self, config: Any, context: PluginContext, pools: Sequence[Pool]) -> Lrms: ...

    def vaults(self, config: Any) -> Mapping[str, Vault]:
        """Return where the signer finds the batch system's secrets, by their names. A plugin may lack this."""
        ...


class OverlayPlugin(Protocol):
    """What the entry point of an overlay names."""

    Config: type[Any]

    def build(self, config: Any, context: PluginContext, settings: Settings) -> Overlay: ...

    def vaults(self, config: Any, places: Places) -> Mapping[str, Vault]:
        """Return where the signer finds or makes the overlay's secrets, by their names. A plugin may lack this."""
        ...
