"""Whether a VM may be made, and the record of the one that is.

Everything that a request can be refused for without trying it: decided under the site's lock, so that two launches at
once cannot take the same address, the same last place, or make two VMs for one key.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from datetime import UTC, datetime
from ipaddress import IPv4Address

from clues.errors import InvalidRequest, NoCapacity, QuotaExceeded
from clues.model import LaunchRequest, Resources
from clues.ports import PluginContext
from connectors.local.config import LocalConfig
from connectors.local.machine import USER_DATA_LIMIT
from connectors.local.store import Record, Store

#: A site that chooses addresses leaves so many at the beginning of its network to others, as clouds do.
_FIRST_FREE = 10


def admit(
    request: LaunchRequest, config: LocalConfig, store: Store, context: PluginContext, *, broken: bool = False
) -> Record:
    """Return the record of the instance for a request: the one that has its launch key, or a new one if there is room.

    *broken*: the instance is to be one that the site fails to make.

    :raises InvalidRequest: unknown flavor, wrong address, or one that an instance has.
    :raises QuotaExceeded: the account's bound is reached; it is looked at first, as clouds do. Or no address is free.
    :raises NoCapacity: the site is full.
    """
    address = _checked_address(request, config) if request.address else ""
    flavor = config.flavors.get(request.offer.flavor)
    if flavor is None:
        known = ", ".join(config.flavors)
        raise InvalidRequest(f"site {context.name} has no flavor {request.offer.flavor!r}; it has {known}")
    if request.cluster != context.cluster:
        raise InvalidRequest(f"this connector works for cluster {context.cluster}, not {request.cluster}")
    if len(request.user_data.encode()) > USER_DATA_LIMIT:
        raise InvalidRequest(f"user-data has more than {USER_DATA_LIMIT} bytes")
    with store.lock():
        records = store.records()
        for record in records:
            if (record.cluster, record.launch_key) == (request.cluster, request.launch_key):
                return record
        live = [record for record in records if record.live]
        for record in live:
            if record.address == address:
                raise InvalidRequest(f"address {address} belongs to instance {record.id} ({record.node})")
        address = address or _free_address(config, {record.address for record in live})
        used = total(live).plus(flavor.resources)
        full = config.quota.what_is_full(len(live) + 1, used)
        if full:
            raise QuotaExceeded(f"quota of site {context.name}: {full}")
        full = config.capacity.what_is_full(len(live) + 1, used)
        if full:
            raise NoCapacity(f"capacity of site {context.name}: {full}")
        record = Record(
            id=store.new_id(),
            cluster=request.cluster,
            launch_key=request.launch_key,
            node=request.node,
            kind=request.kind,
            pool=request.pool,
            generation=request.generation,
            offer=request.offer.key,
            flavor=request.offer.flavor,
            resources=flavor.resources,
            address=address,
            created_at=datetime.now(UTC),
            fault="the host failed to build it" if broken else "",
        )
        store.write(record)
        return record


def total(records: Sequence[Record]) -> Resources:
    """Return what the instances of these records take up together."""
    used = Resources()
    for record in records:
        used = used.plus(record.resources)
    return used


def _free_address(config: LocalConfig, taken: Container[str]) -> str:
    """Return an address for a VM whose request leaves the choice to the site."""
    network = config.network.network
    for number in range(_FIRST_FREE, network.num_addresses - 1):
        address = network[number]
        if address != config.gateway and str(address) not in taken:
            return str(address)
    raise QuotaExceeded(f"no address is free in {network}")


def _checked_address(request: LaunchRequest, config: LocalConfig) -> str:
    """Return the request's address in its one form."""
    network = config.network.network
    try:
        address = IPv4Address(request.address)
    except ValueError as error:
        raise InvalidRequest(f"{request.address!r} is no IPv4 address") from error
    if address not in network or address in (config.gateway, network[0], network[-1]):
        raise InvalidRequest(f"address {address} is not one for a VM in {network}")
    return str(address)
