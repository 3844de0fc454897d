"""The parameters of RunInstances, for one VM or for several that are alike. The same requests give the same ones, as
their client token demands."""

from __future__ import annotations

import base64
import gzip
from collections.abc import Mapping, Sequence

from clues.errors import InvalidRequest
from clues.model import LaunchRequest, Market
from connectors.common.tags import tags_of
from connectors.ec2 import mates
from connectors.ec2.api import numbered
from connectors.ec2.config import Ec2Config
from connectors.ec2.images import Image

#: EC2 takes so much user-data, before it is written in base64.
MOST_USER_DATA = 16384
_LONGEST_TOKEN = 64


def parameters(request: LaunchRequest, config: Ec2Config, image: Image, group: str = "") -> dict[str, str]:
    """Return what is asked of EC2.

    :param group: the placement group, empty for none.
    :raises InvalidRequest: EC2 would not take it: too much user-data, a zone without a subnet.
    """
    token, offer = request.launch_key, request.offer
    if len(token) > _LONGEST_TOKEN or not token.isascii():
        raise InvalidRequest(
            f"launch key {token!r} cannot be a client token: at most {_LONGEST_TOKEN} ASCII characters"
        )
    tags = {**config.tags, "Name": request.node, **tags_of(request)}
    params = {
        "ImageId": image.id,
        "InstanceType": offer.flavor,
        "MinCount": "1",
        "MaxCount": "1",
        "ClientToken": token,
        "UserData": base64.b64encode(user_data(request.user_data)).decode("ascii"),
        "InstanceInitiatedShutdownBehavior": "terminate",
        # a container or a proxy on the VM gets no answer from the metadata service, for want of hops
        "MetadataOptions.HttpTokens": "required",
        "MetadataOptions.HttpPutResponseHopLimit": "1",
        "MetadataOptions.HttpEndpoint": "enabled",
        **_interface(request, config),
        **_volumes(config, image),
        **_tags(tags, tags),
    }
    if offer.market is Market.SPOT:
        params |= {
            "InstanceMarketOptions.MarketType": "spot",
            "InstanceMarketOptions.SpotOptions.SpotInstanceType": "one-time",
            "InstanceMarketOptions.SpotOptions.InstanceInterruptionBehavior": "terminate",
        }
    if config.launch_template:
        kind = "Id" if config.launch_template.startswith("lt-") else "Name"
        params[f"LaunchTemplate.LaunchTemplate{kind}"] = config.launch_template
        params["LaunchTemplate.Version"] = config.launch_template_version
    if config.instance_profile:
        kind = "Arn" if config.instance_profile.startswith("arn:") else "Name"
        params[f"IamInstanceProfile.{kind}"] = config.instance_profile
    optional = {"Placement.AvailabilityZone": offer.zone, "Placement.GroupName": group, "KeyName": config.key_name}
    return params | {name: value for name, value in optional.items() if value}


def together(requests: Sequence[LaunchRequest], config: Ec2Config, image: Image, group: str = "") -> dict[str, str]:
    """Return what is asked of EC2 for several VMs in one call. Of a gang all are made or none, of others those for
    which there is room.

    :raises InvalidRequest: they cannot be asked for in one call.
    """
    mates.check(requests, mates.most(len(config.tags)))
    first = requests[0]
    alone = {name: value for name, value in parameters(first, config, image, group).items() if ".Tag." not in name}
    tags = {**config.tags, "Name": first.pool, **mates.tags_of(requests)}
    # what a volume belongs to is told by its instance, which it never outlives
    volume = {name: value for name, value in tags.items() if not name.startswith(mates.VM)}
    return {
        **alone,
        "MinCount": str(len(requests)) if first.gang else "1",
        "MaxCount": str(len(requests)),
        "ClientToken": mates.token_of(first.batch),
        **_tags(tags, volume),
    }


def user_data(script: str) -> bytes:
    """Return a script as EC2 takes it: as it is, or packed where it is too long (cloud-init unpacks it).

    :raises InvalidRequest: it is too long all the same.
    """
    content = script.encode()
    if len(content) > MOST_USER_DATA:
        # without a date in it: the same script has to become the same bytes
        content = gzip.compress(content, 9, mtime=0)
    if len(content) > MOST_USER_DATA:
        raise InvalidRequest(
            f"the VM's user-data has {len(script.encode())} bytes, {len(content)} of them packed, and EC2 takes "
            f"{MOST_USER_DATA} at most"
        )
    return content


def _interface(request: LaunchRequest, config: Ec2Config) -> dict[str, str]:
    zone = request.offer.zone
    try:
        subnet = config.subnet_of(zone)
    except KeyError:
        raise InvalidRequest(f"the site names no subnet for zone {zone}: write one under `subnets`") from None
    public = "" if config.public_address is None else str(config.public_address).lower()
    optional = {"SubnetId": subnet, "PrivateIpAddress": request.address, "AssociatePublicIpAddress": public}
    return {
        "NetworkInterface.1.DeviceIndex": "0",
        "NetworkInterface.1.DeleteOnTermination": "true",
        **{f"NetworkInterface.1.{name}": value for name, value in optional.items() if value},
        **numbered("NetworkInterface.1.SecurityGroupId", config.security_groups),
    }


def _volumes(config: Ec2Config, image: Image) -> dict[str, str]:
    """No volume of an image outlives its VM, whatever the image says."""
    params = {}
    for at, volume in enumerate(image.volumes, 1):
        ebs = {"DeleteOnTermination": "true", "VolumeSize": str(volume.size or "")}
        if volume.device == image.root:
            wanted = config.volume
            if wanted.encrypted is not None:
                ebs["Encrypted"] = str(wanted.encrypted).lower()
            ebs |= {
                name: str(value)
                for name, value in (
                    ("VolumeSize", wanted.size),
                    ("VolumeType", wanted.type),
                    ("Iops", wanted.iops),
                    ("Throughput", wanted.throughput),
                    ("KmsKeyId", wanted.kms_key),
                )
                if value
            }
        params[f"BlockDeviceMapping.{at}.DeviceName"] = volume.device
        params |= {f"BlockDeviceMapping.{at}.Ebs.{name}": value for name, value in ebs.items() if value}
    return params


def _tags(instance: Mapping[str, str], volume: Mapping[str, str]) -> dict[str, str]:
    """VM and volumes have their tags from their first moment on: there is none that nobody would know."""
    params = {}
    for at, (kind, tags) in enumerate((("instance", instance), ("volume", volume)), 1):
        params[f"TagSpecification.{at}.ResourceType"] = kind
        for number, (name, value) in enumerate(sorted(tags.items()), 1):
            params[f"TagSpecification.{at}.Tag.{number}.Key"] = name
            params[f"TagSpecification.{at}.Tag.{number}.Value"] = value
    return params
