"""What the API may ask of the daemon."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Protocol

from clues.model import (
    CaStatus,
    CaStep,
    Changed,
    Claim,
    Deed,
    JobUse,
    LoggedDeed,
    LoggedNote,
    Maintenance,
    Moment,
    Order,
    Published,
    Rehearsal,
    SpentRow,
    SshWay,
    VmLog,
    Wish,
)


class Control(Protocol):
    """What the API may ask of the daemon. Safe to call from any thread."""

    def published(self) -> Published | None:
        """Return the picture of the last tick; None before the first one has ended."""
        ...

    def wait(self, after_tick: int, timeout: float) -> Published | None:
        """Return a picture newer than *after_tick* as soon as there is one, or the present one after *timeout* s."""
        ...

    def notes(self, *, after: int = 0, before: int = 0, about: str = "", limit: int = 100) -> list[LoggedNote]:
        """Return entries of the event log with an id above *after* and below *before* (0: any), oldest first; without
        *after* the newest *limit*."""
        ...

    def history(self, since: datetime, limit: int) -> list[Moment]:
        """Return what the cluster was like in each minute from *since* on, the first *limit* of them, oldest first."""
        ...

    def spending(self, since: datetime, until: datetime) -> list[SpentRow]:
        """Return what was spent in each hour that began from *since* on and before *until*, oldest first."""
        ...

    def claims_between(self, begin: datetime, end: datetime) -> list[Claim]:
        """Return all claims, routers' too, that may have had a VM between two moments."""
        ...

    def job_uses(self, begin: datetime, end: datetime) -> Sequence[JobUse]:
        """Return which jobs ran where between two moments, by the batch system's accounting. It may take its time.

        :raises clues.errors.InvalidRequest: it keeps none; the text says how it would.
        :raises clues.errors.LrmsError: it cannot be asked now.
        """
        ...

    def past_claims(self, node: str, limit: int, before: int = 0) -> list[Claim]:
        """Return the latest claims of a node (or ``router-SITE``), ended or not, with a generation below *before* (0:
        any), the newest first."""
        ...

    def answered(self, order: Order) -> bytes | None:
        """Return what this very order was answered before, within a day; None: it is new, or has no key.

        :raises clues.errors.KeyReused: its key is another order's, or one's of which nobody knows what came of it.
        """
        ...

    def act(self, order: Order, do: Callable[[], object], told: Callable[[Changed], bytes]) -> bytes:
        """Call *do*, which gives one of the orders below, and return the answer that *told* makes of what it changes.

        *told* is called before *do* returns, as the answer is part of the commit: deed, answer and effect are there
        together, or none of them is. An order that was answered before is not done again.

        :raises clues.errors.KeyReused: as :meth:`answered`.
        :raises clues.errors.CluesError: what *do* raises; nothing has changed then.
        """
        ...

    def act_outside(self, order: Order, do: Callable[[], bytes]) -> bytes:
        """The same for what somebody else fulfils, such as the signer: that it was begun is committed first, and one of
        which nobody knows what came of it is not begun again."""
        ...

    def record(self, deed: Deed) -> None:
        """Write down what was refused; does not wait until it is."""
        ...

    def deeds(self, since: datetime, before: int, limit: int) -> list[LoggedDeed]:
        """Return what was done and tried from *since* on, the newest *limit* below the id *before* (0: of all), newest
        first."""
        ...

    def wish(self, nodes: Sequence[str], wish: Wish | None, who: str) -> None:
        """Commit a standing order for pool nodes (None takes it back) and hurry a tick.

        :raises clues.errors.InvalidRequest: a name that belongs to no pool; nothing is changed then.
        """
        ...

    def announce_maintenance(
        self, site: str, begin: datetime, end: datetime, ahead: timedelta | None, who: str
    ) -> Maintenance:
        """Announce that a site is to be empty from *begin* to *end*.

        :param ahead: from when on its nodes take no new jobs; None: as the time limits of pending jobs demand.
        :raises clues.errors.InvalidRequest: it cannot be so; the text says why.
        """
        ...

    def cancel_maintenance(self, number: int, who: str) -> Maintenance:
        """Take back an announced maintenance, and return it.

        :raises clues.errors.NotFound: there is none of this number.
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
