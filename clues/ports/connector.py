"""What the core asks of one site's cloud."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

from clues.model import (
    Finding,
    Flavor,
    LaunchOutcome,
    LaunchRequest,
    Listing,
    Offer,
    Price,
    Quota,
)


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


def batch_of(connector: Connector) -> int:
    """Return the most VMs that a connector makes in one call."""
    return int(getattr(connector, "batch", 1))
