"""What the core asks of the outside, as protocols.

A plugin is a module attribute named ``PLUGIN`` that an entry point names (groups ``clues.connectors``, ``clues.lrms``,
``clues.overlays``).  It exports its own pydantic ``Config`` model, so that ``clues.config`` can check the whole file at
once, and a ``build`` function that makes the adapter from a checked ``Config``.

All calls block and may be slow; the core makes them on its workers' threads, never on its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from clues.model import (
    Claim,
    ClusterSnapshot,
    Facts,
    Flavor,
    LaunchOutcome,
    LaunchRequest,
    Listing,
    LoggedNote,
    Pool,
    Published,
    Quota,
    Settings,
    Wish,
)


@dataclass(frozen=True, slots=True)
class PluginContext:
    """What every plugin is given to build itself from, besides its own checked configuration."""

    cluster: str  # the cluster's UUID, the tag of everything it makes
    name: str  # of the site (connectors), else of the cluster
    state: Path  # folder of the daemon's state


class Connector(Protocol):
    """One site's cloud. Every failure is a :class:`clues.errors.CloudError`."""

    def list_instances(self) -> Listing:
        """Return all instances with this cluster's tag, complete, ended ones included as long as the provider shows
        them; an incomplete answer is an error, never a shorter list."""
        ...

    def launch(self, requests: Sequence[LaunchRequest]) -> list[LaunchOutcome]:
        """Make one VM for each request; one outcome each, in order. Idempotent by launch key: asked again with a key
        whose instance exists, it answers with that instance."""
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

    def bootstrap(self, node: str) -> WorkerSecrets:
        """Return what a new worker needs to join, secrets included; never stored."""
        ...

    def render_config(self, settings: Settings) -> Mapping[str, str]:
        """Return the configuration fragments for the pools by file name (``slurm.conf`` part, ``gres.conf``)."""
        ...

    def check_config(self, settings: Settings) -> list[str]:
        """Compare the fragments with the running controller; one sentence for each difference, empty when alike."""
        ...


@dataclass(frozen=True, slots=True)
class WorkerSecrets:
    """What enrolment hands to a worker of a claim: files (with mode and content) and settings for its start."""

    files: tuple[tuple[str, int, bytes], ...]
    settings: Mapping[str, str]
    services: tuple[str, ...]

    def __repr__(self) -> str:  # secrets never reach a log by accident
        return f"WorkerSecrets(files={[name for name, _, _ in self.files]}, services={self.services})"


class Overlay(Protocol):
    """The cluster's private network."""

    def reserve(self, claim: Claim, claims: Iterable[Claim], now: datetime) -> str:
        """Return an address for *claim* that no other claim holds or held lately; empty when the provider chooses.

        :raises clues.errors.QuotaExceeded: when the site's range is full.
        """
        ...

    def status(self) -> Mapping[str, str]:
        """Return tunnels and their state by site, for screens."""
        ...


class Workers(Protocol):
    """Threads behind the core: calls go in, events come back in the owner's queue."""

    def submit(self, lane: str, call: Callable[[], Any], done: Callable[[Any, BaseException | None], None]) -> None:
        """Run *call* on the lane's threads; *done* is called with its result or error on the owner's thread.

        The lane ``lrms`` runs one call at a time in order, so that a snapshot submitted after a command shows its
        effect; a site's lane runs several at once.
        """
        ...


class Clock(Protocol):
    """Time as an argument."""

    def now(self) -> datetime:
        """Return wall time, aware, in UTC."""
        ...

    def monotonic(self) -> float:
        """Return seconds that never jump."""
        ...


class Desk(Protocol):
    """Where the enrolment service hands in what a VM says; answered by the thread that owns the ledger."""

    def redeem(self, ticket: str, nonce: str, address: str, facts: Facts) -> WorkerSecrets:
        """Give a booting claim's worker what it needs, and commit that it was given.

        *nonce* is made by the VM: the same ticket with the same nonce is a retry and is answered again, with another
        one it is refused.

        :raises clues.errors.AuthFailed: unknown, spent or late ticket, or a caller at another address.
        :raises clues.errors.Transient: the daemon could not commit now; the worker may try again.
        """
        ...

    def report(self, ticket: str, kind: str, text: str) -> None:
        """Take a VM's word: ``started`` (its services run) or ``failed`` with its last word.

        :raises clues.errors.AuthFailed: unknown ticket.
        """
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

    def wish(self, nodes: Sequence[str], wish: Wish | None, who: str) -> None:
        """Commit a standing order for pool nodes (None takes it back) and hurry a tick.

        :raises clues.errors.InvalidRequest: a name that belongs to no pool; nothing is changed then.
        """
        ...

    def pause(self, paused: bool, who: str) -> None:
        """Stop or resume buying and stopping of VMs; what runs goes on."""
        ...


class ConnectorPlugin(Protocol):
    """What the entry point of a connector names."""

    #: pydantic model of the site's own keys (beside those that every site has)
    Config: type[Any]

    def build(self, config: Any, context: PluginContext) -> Connector: ...


class LrmsPlugin(Protocol):
    """What the entry point of an LRMS names."""

    Config: type[Any]

    def build(self, config: Any, context: PluginContext, pools: Sequence[Pool]) -> Lrms: ...


class OverlayPlugin(Protocol):
    """What the entry point of an overlay names."""

    Config: type[Any]

    def build(self, config: Any, context: PluginContext, settings: Settings) -> Overlay: ...
