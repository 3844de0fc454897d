"""What the core asks of the cluster's private network."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from clues.model import (
    Claim,
    OverlayStatus,
)
from clues.ports.provision import Provision


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
