"""What a site with ``connector: ec2`` can be told in ``clues.yaml``. No secret stands there: keys come from a profile,
the environment, a file or the instance's role (:mod:`.credentials`)."""

from __future__ import annotations

import ipaddress
import re
from datetime import timedelta
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from clues.config.fields import Duration

_REGION = re.compile(r"[a-z]{2}(-[a-z]+)+-[0-9]{1,2}")
_PROFILE = re.compile(r"[^\[\]\s][^\[\]\n]{0,127}")
#: EC2 takes 50 tags for each thing; the rest are ours
_MOST_TAGS = 40
#: each VM of a launch needs one, besides those that all of them have: cluster, kind, pool, offer, Name
MOST_TOGETHER = 45


def _id(kind: str) -> str:
    return rf"^({kind}-[0-9a-f]{{8,17}})?$"


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class VolumeConfig(_Part):
    """The root volume of the VMs, where it shall differ from the image's."""

    size: int | None = Field(default=None, ge=1, le=65536, strict=True, description="GiB; not less than the image has.")
    type: Literal["gp2", "gp3", "io1", "io2", "standard"] | None = Field(
        default=None, description="Kind of EBS volume."
    )
    iops: int | None = Field(default=None, ge=100, le=256000, strict=True, description="I/O operations in a second.")
    throughput: int | None = Field(default=None, ge=125, le=2000, strict=True, description="MiB in a second, of gp3.")
    encrypted: bool | None = Field(default=None, description="Whether it is encrypted.")
    kms_key: str = Field(default="", max_length=2048, description="The KMS key that it is encrypted with.")


class Ec2Config(_Part):
    """The keys of a site with ``connector: ec2``."""

    region: str = Field(description="The region, such as `eu-west-1`.")
    profile: str = Field(
        "", description="The profile in `~/.aws/credentials` or `~/.aws/config` that has the keys. Without `profile` "
        "and `credentials`: the environment's usual variables, else the profile `default`, else the instance's role."
    )  # fmt: skip
    credentials: str = Field(
        "",
        description="Instead of a profile: a systemd credential (or a file below `/etc/clues/credentials`), or the "
        "path of a file, that only cluesd can read, in the form of `~/.aws/credentials` with one profile.",
    )
    endpoint: str = Field("", description="URL of EC2's API. Empty: the public one of the region.")
    sts_endpoint: str = Field("", description="URL of the STS API, for `clues doctor`. Empty: the region's public one.")
    pricing_endpoint: str = Field(
        "", description="URL of the price list service, for on-demand prices. Empty: the public one that is nearest."
    )
    network: str = Field(
        "", description="The range of the subnet, such as `10.77.3.0/24`, where the workers' addresses are reserved "
        "ones. Empty: EC2 chooses them."
    )  # fmt: skip
    subnet: str = Field("", pattern=_id("subnet"), description="The subnet. Empty: the default one of the zone.")
    subnets: dict[str, str] = Field(
        default_factory=dict,
        description="Instead of `subnet`: one for each availability zone that offers name: `{eu-west-1a: subnet-…}`. "
        "An offer without a zone takes the first.",
    )
    security_groups: tuple[str, ...] = Field((), max_length=16, description="Ids of the VMs' security groups.")
    public_address: bool | None = Field(
        None, description="Whether VMs get a public address. Without it the subnet's own setting holds."
    )
    key_name: str = Field("", max_length=255, description="Name of an EC2 key pair, for SSH. Empty: none.")
    instance_profile: str = Field(
        "",
        max_length=2048,
        description="Name or ARN of an IAM instance profile for the VMs. Empty, and better so: whoever is root on a "
        "worker has its role.",
    )
    identity_certificates: Path | None = Field(
        None,
        description="File with AWS's RSA certificates of the region, in PEM form (EC2's user guide has them under "
        "instance identity documents). With it a VM enrols only with the identity document that AWS has signed for "
        "it, so that a ticket is of no use elsewhere.",
    )
    image_owner: str = Field(
        "self",
        pattern=r"^(self|amazon|aws-marketplace|[0-9]{12})$",
        description="Whose images are meant by name: `self`, an account's number, `amazon` or `aws-marketplace`.",
    )
    newest_image: bool = Field(
        False, description="An image's name may have `*` or be that of several: the newest is taken."
    )
    launch_template: str = Field(
        "", max_length=128, description="Id or name of a launch template; what is said here and in offers overrides it."
    )
    launch_template_version: str = Field(
        "$Default", pattern=r"^(\$Default|\$Latest|[0-9]{1,9})$", description="Its version."
    )
    placement: Literal["none", "cluster"] = Field(
        "none", description="`cluster`: the nodes of one job stand close together, in a placement group made for it."
    )
    volume: VolumeConfig = Field(
        default_factory=VolumeConfig,
        description="The root volume: `size` (GiB), `type`, `iops`, `throughput`, `encrypted`, `kms_key`.",
    )
    tags: dict[str, str] = Field(
        default_factory=dict, max_length=_MOST_TAGS, description="Further tags of VMs and volumes, such as a project's."
    )
    route_table: str = Field(
        "",
        pattern=_id("rtb"),
        description="The subnet's route table, where ranges are led to the site's router. Empty: it is left alone.",
    )
    route_ranges: tuple[str, ...] = Field(
        (), max_length=50, description="Which ranges those are. Without it, the cluster's own: `overlay.network`."
    )
    timeout: Duration = Field(timedelta(seconds=30), description="Longest wait for an answer of EC2.")
    calls_per_second: float = Field(20.0, gt=0, le=1000, description="Most calls in a second on average.")
    launches_per_second: float = Field(
        2.0, gt=0, le=1000,
        description="Most launches (RunInstances) in a second on average: AWS allows 2 unless it was asked for more.",
    )  # fmt: skip
    batch: int = Field(
        40, ge=1, le=MOST_TOGETHER, strict=True,
        description="Most VMs that are asked for in one launch: workers of one offer whose addresses EC2 chooses. Each "
        "takes one of the 50 tags that EC2 allows, so `tags` leave room for fewer. 1: each is a launch of its own.",
    )  # fmt: skip
    concurrency: int = Field(8, ge=1, le=64, strict=True, description="Most calls at once.")

    @field_validator("region")
    @classmethod
    def _is_a_region(cls, value: str) -> str:
        if not _REGION.fullmatch(value):
            raise ValueError(f"{value!r} is no region: write it as eu-west-1, without the letter of a zone")
        return value

    @field_validator("profile")
    @classmethod
    def _is_a_profile(cls, value: str) -> str:
        if value and not _PROFILE.fullmatch(value):
            raise ValueError(f"{value!r} is not the name of a profile")
        return value

    @field_validator("endpoint", "sts_endpoint", "pricing_endpoint")
    @classmethod
    def _is_an_endpoint(cls, value: str) -> str:
        if value:
            check_endpoint(value)
        return value

    @field_validator("subnets")
    @classmethod
    def _are_subnets(cls, value: dict[str, str]) -> dict[str, str]:
        for zone, subnet in value.items():
            if not re.fullmatch(r"[a-z0-9-]{6,40}", zone) or not re.fullmatch(_id("subnet"), subnet) or not subnet:
                raise ValueError(f"{zone}: {subnet!r}: write a zone and its subnet: {{eu-west-1a: subnet-0123abcd}}")
        return value

    @field_validator("security_groups")
    @classmethod
    def _are_groups(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for one in value:
            if not one or not re.fullmatch(_id("sg"), one):
                raise ValueError(f"{one!r} is not the id of a security group: names may mean several, ids one: sg-…")
        return value

    @field_validator("route_ranges")
    @classmethod
    def _are_ranges(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for one in value:
            if ipaddress.ip_network(one).prefixlen == 0:
                raise ValueError(f"{one} is the whole internet: write the cluster's own ranges")
        return value

    @field_validator("tags")
    @classmethod
    def _are_tags(cls, value: dict[str, str]) -> dict[str, str]:
        for name, text in value.items():
            if not 1 <= len(name) <= 128 or len(text) > 256 or not f"{name}{text}".isprintable():
                raise ValueError(f"{name!r} is no tag of EC2: at most 128 characters, its value at most 256")
            if name.lower().startswith(("aws:", "clues-")) or name == "Name":
                raise ValueError(f"{name!r} is not yours to set: AWS and clues have tags of that name")
        return value

    @model_validator(mode="after")
    def _go_together(self) -> Ec2Config:
        if self.profile and self.credentials:
            raise ValueError("profile and credentials are two ways to say where the keys are: write one of them")
        if self.subnet and self.subnets:
            raise ValueError("subnet and subnets: write one of them")
        if self.route_ranges and not self.route_table:
            raise ValueError("route_ranges need the route_table that they are written into")
        if not self.timeout:
            raise ValueError("timeout: has to be longer than nothing")
        return self

    def subnet_of(self, zone: str) -> str:
        """Return the subnet for an offer's zone; empty: EC2's default one.

        :raises KeyError: there are subnets by zone, and none for this one.
        """
        if not self.subnets:
            return self.subnet
        return self.subnets[zone] if zone else next(iter(self.subnets.values()))


def check_endpoint(url: str) -> tuple[bool, str, int]:
    """Return whether an endpoint is spoken to over TLS, its host and its port.

    :raises ValueError: it is no URL of an endpoint, or without TLS on another machine.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.path.strip("/") or parts.query:
        raise ValueError(f"{url!r} is not an endpoint: write https://HOST or https://HOST:PORT")
    secure = parts.scheme == "https"
    if not secure and parts.hostname not in ("127.0.0.1", "localhost"):
        raise ValueError(f"{url!r}: the keys' signatures go over TLS only: write https://")
    return secure, parts.hostname, parts.port or (443 if secure else 80)
