"""What the contract of connectors needs from a provider under test, and short ways to ask a connector."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from clues.errors import CloudError
from clues.model import Instance, InstanceState, LaunchRequest, Listing
from clues.ports import Connector

OURS = "6f1d7c1e-0000-4000-8000-00000000000a"
THEIRS = "6f1d7c1e-0000-4000-8000-00000000000b"
#: Stands in user-data for everything that nobody else may read.
CANARY = "canary-5d41402abc4b2a76b9719d911017c592"

ALIVE = frozenset({InstanceState.PENDING, InstanceState.RUNNING})
ENDED = frozenset({InstanceState.STOPPING, InstanceState.GONE})


class SiteUnderTest(Protocol):
    """A provider that can be told what to do behind the connector's back."""

    name: str

    def connect(self, cluster: str) -> Connector:
        """Return a new connector object for the same site, as a restarted daemon would make it."""
        ...

    def request(self, cluster: str, number: int) -> LaunchRequest:
        """Return a request for a VM that the site can make; node, launch key and address differ by *number*."""
        ...

    def fail_next(self, op: str, code: str) -> None:
        """Let the next call of *op* (launch, list, terminate, quota) fail so; ``unknown-outcome``: after its effect."""
        ...

    def pull_the_plug(self, instance: Instance) -> None:
        """Let a VM die without the connector being asked."""
        ...

    def public_bytes(self) -> Iterable[tuple[str, bytes]]:
        """Return all that the connector and the provider left where others can read it: name and content."""
        ...


def listed(connector: Connector) -> Sequence[Instance]:
    """Return what the connector lists."""
    return connector.list_instances().instances


def the_one(listing: Listing) -> Instance:
    """Return the only instance of a listing."""
    assert len(listing.instances) == 1, listing
    return listing.instances[0]


def find(connector: Connector, instance_id: str) -> Instance:
    """Return one instance as it is listed."""
    return next(one for one in listed(connector) if one.id == instance_id)


def launch(connector: Connector, request: LaunchRequest) -> Instance:
    """Launch one VM, which must succeed."""
    (outcome,) = connector.launch([request])
    assert outcome.error is None, (outcome.error, outcome.error.words)
    assert outcome.instance is not None
    return outcome.instance


def launch_error(connector: Connector, request: LaunchRequest) -> CloudError:
    """Launch one VM, which must fail: in its outcome, or as a whole."""
    try:
        (outcome,) = connector.launch([request])
    except CloudError as error:
        return error
    assert outcome.instance is None
    assert outcome.error is not None
    return outcome.error
