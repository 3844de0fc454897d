"""VMs that are made by one call, and how each of them is known from its first moment on.

All of them get the same tags, so each has those of all: ``clues-vm-0``, ``clues-vm-1``, ... with launch key, node and
generation. Which of them an instance is follows from its place in the call, which EC2 tells of it for as long as it
exists (``amiLaunchIndex``). No second call is needed for that, which could fail to come.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import sha256

from clues.errors import InvalidRequest
from clues.model import Kind, LaunchRequest
from connectors.common import tags
from connectors.ec2.config import MOST_TOGETHER

#: before the number of a VM in the names of tags
VM = "clues-vm-"
#: what a VM's own tag holds, in this order
_OWN = (tags.LAUNCH_KEY, tags.NODE, tags.GENERATION)


def most(own_tags: int) -> int:
    """Return how many VMs fit into one call where the site has so many tags of its own."""
    return max(1, MOST_TOGETHER - own_tags)


def token_of(keys: Sequence[str]) -> str:
    """Return the client token of the call for these launch keys: the same keys in the same order give the same."""
    return "clues-" + sha256("\n".join(keys).encode()).hexdigest()[:58]


def tags_of(requests: Sequence[LaunchRequest]) -> dict[str, str]:
    """Return the tags that all VMs of a call get."""
    mine = tags.tags_of(requests[0])
    shared = {name: mine[name] for name in (tags.CLUSTER, tags.KIND, tags.POOL, tags.OFFER)}
    return shared | {f"{VM}{at}": f"{one.launch_key} {one.node} {one.generation}" for at, one in enumerate(requests)}


def own(found: Mapping[str, str], place: str) -> Mapping[str, str]:
    """Return the tags of one instance as if it had been made alone.

    :param place: its ``amiLaunchIndex``. Where that does not name one of the call, it is nobody's.
    """
    if f"{VM}0" not in found:
        return found
    kept = {name: value for name, value in found.items() if not name.startswith(VM)}
    parts = found.get(f"{VM}{place}", "").split(" ")
    if len(parts) != len(_OWN):
        return kept
    return {**kept, **dict(zip(_OWN, parts, strict=True))}


def _kind(one: LaunchRequest) -> tuple[object, ...]:
    return one.offer, one.gang, one.pool


def check(requests: Sequence[LaunchRequest], largest: int) -> None:
    """See that these requests can be one call.

    :raises InvalidRequest: they cannot; the text says why.
    """
    first = requests[0]
    wrong = (
        (len(requests) > largest, f"more than {largest} VMs in one call"),
        ([one.launch_key for one in requests] != list(first.batch), "not the VMs that make up the call"),
        (len(set(first.batch)) != len(first.batch), "one launch key twice"),
        (any(one.batch != first.batch for one in requests), "VMs of several calls"),
        (any(one.address for one in requests), "a VM with an address of its own among several"),
        (any(one.kind is not Kind.WORKER for one in requests), "a router among several VMs"),
        (any(_kind(one) != _kind(first) for one in requests), "VMs that are not alike"),
        (any(one.user_data != first.user_data for one in requests), "VMs with several scripts"),
    )
    for true, what in wrong:
        if true:
            raise InvalidRequest(f"EC2 makes no such thing in one call: {what}")
