"""What nova is told to make."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

from clues.errors import InvalidRequest
from clues.model import LaunchRequest
from connectors.common import tags
from connectors.openstack.api import TAGS_AT_CREATE, VOLUME_TYPE, Json, Version
from connectors.openstack.catalogue import FlavorInfo, Place
from connectors.openstack.config import OpenStackConfig
from connectors.openstack.ports import Made
from connectors.openstack.states import ADDRESS

#: nova's bound for user-data, as it is sent
_LARGEST = 65535
_LONGEST_VALUE = 255
_LONGEST_TAG = 60


def tag_of(launch_key: str) -> str:
    """Return the server tag that a VM is found by. Tags are shorter than launch keys may be."""
    if len(launch_key) <= _LONGEST_TAG:
        return launch_key
    digest = hashlib.sha256(launch_key.encode()).hexdigest()[:16]
    return f"{launch_key[: _LONGEST_TAG - 17]}-{digest}"


@dataclass(frozen=True, slots=True)
class Parts:
    """What a VM is made from, by ids."""

    flavor: FlavorInfo
    image: str
    place: Place
    #: a port of our own; empty: nova makes one, with these security groups
    port: str = ""
    security_groups: Sequence[str] = ()
    server_group: str = ""
    #: the address that was reserved
    address: str = ""

    def with_port(self, made: Made | None) -> Parts:
        """Return the same with the port that was made, if one was."""
        return self if made is None else replace(self, port=made.port)


def encoded(user_data: str) -> str:
    """Return user-data as nova takes it.

    :raises InvalidRequest: it is too long.
    """
    text = base64.b64encode(user_data.encode()).decode()
    if len(text) > _LARGEST:
        raise InvalidRequest(f"the VM's user-data has {len(text)} bytes, and nova takes {_LARGEST} at most")
    return text


def body_of(request: LaunchRequest, parts: Parts, config: OpenStackConfig, version: Version) -> Json:
    """Return the body of ``POST /servers``."""
    metadata = {key: value[:_LONGEST_VALUE] for key, value in tags.tags_of(request).items()}
    if parts.address:
        metadata[ADDRESS] = parts.address
    server: Json = {
        "name": request.node,
        "flavorRef": parts.flavor.id,
        "user_data": encoded(request.user_data),
        "metadata": metadata,
        "config_drive": config.config_drive,
        "networks": [{"port": parts.port} if parts.port else {"uuid": parts.place.network}],
    }
    if config.boot_volume is None:
        server["imageRef"] = parts.image
    else:
        volume: Json = {
            "boot_index": 0,
            "uuid": parts.image,
            "source_type": "image",
            "destination_type": "volume",
            "volume_size": -(-config.boot_volume.size // 1024),
            "delete_on_termination": True,
        }
        if config.boot_volume.type:
            if version < VOLUME_TYPE:
                raise InvalidRequest("this nova cannot be told a volume type: leave boot_volume.type out")
            volume["volume_type"] = config.boot_volume.type
        server["block_device_mapping_v2"] = [volume]
    if not parts.port and parts.security_groups:
        # nova calls it a name and takes an id as well
        server["security_groups"] = [{"name": one} for one in parts.security_groups]
    if config.key_pair:
        server["key_name"] = config.key_pair
    if request.offer.zone:
        server["availability_zone"] = request.offer.zone
    if version >= TAGS_AT_CREATE:
        server["tags"] = [tag_of(request.launch_key), f"{tags.CLUSTER}={request.cluster}"]
    body: Json = {"server": server}
    if parts.server_group:
        body["os:scheduler_hints"] = {"group": parts.server_group}
    return body
