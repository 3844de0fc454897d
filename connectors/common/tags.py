"""What every VM carries to be known again, as key and value texts; each provider stores such pairs in its own way.

Names of users or jobs are not among them. What comes back is a stranger's data: anybody who may change a VM may
change its tags, so they are read strictly, and only the cluster's UUID makes a VM ours.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from ipaddress import ip_address

from clues.model import Instance, InstanceState, LaunchRequest
from connectors.common.failures import shown

CLUSTER = "clues-cluster"
LAUNCH_KEY = "clues-launch-key"
NODE = "clues-node"
KIND = "clues-kind"
POOL = "clues-pool"
GENERATION = "clues-generation"
OFFER = "clues-offer"

_LONGEST = 255
_MAC = re.compile(r"[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){5}")
_GENERATION = re.compile(r"[0-9]{1,9}")


def tags_of(request: LaunchRequest) -> dict[str, str]:
    """Return the tags of the VM that is asked for."""
    return {
        CLUSTER: request.cluster,
        LAUNCH_KEY: request.launch_key,
        NODE: request.node,
        KIND: request.kind.value,
        POOL: request.pool,
        GENERATION: str(request.generation),
        OFFER: request.offer.key,
    }


def tagged(
    tags: Mapping[str, str],
    *,
    instance_id: str,
    site: str,
    state: InstanceState,
    addresses: tuple[str, ...] = (),
    macs: tuple[str, ...] = (),
    created_at: datetime | None = None,
    fault: str = "",
    fault_code: str = "",
) -> Instance:
    """Return the instance with what its tags say; a tag that is missing or no text is empty, an address that is none
    is left out, and a fault is one line."""
    generation = _text(tags, GENERATION)
    return Instance(
        id=instance_id,
        site=site,
        state=state,
        cluster=_text(tags, CLUSTER),
        launch_key=_text(tags, LAUNCH_KEY),
        node=_text(tags, NODE),
        kind=_text(tags, KIND),
        pool=_text(tags, POOL),
        generation=int(generation) if _GENERATION.fullmatch(generation) else 0,
        offer=_text(tags, OFFER),
        addresses=tuple(one for one in addresses if _is_address(one)),
        macs=tuple(mac.lower() for mac in macs if _MAC.fullmatch(mac)),
        created_at=created_at,
        fault=shown(fault),
        fault_code=fault_code,
    )


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return "%" not in text  # an IPv6 zone may be any text


def _text(tags: Mapping[str, object], name: str) -> str:
    value = tags.get(name, "")
    if not isinstance(value, str) or len(value) > _LONGEST or not value.isprintable():
        return ""
    return value
