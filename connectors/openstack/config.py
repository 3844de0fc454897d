"""What a site with ``connector: openstack`` can be told in ``clues.yaml``. No secret stands there: credentials are an
entry of ``clouds.yaml``, or names of files."""

from __future__ import annotations

import ipaddress
import re
from datetime import timedelta
from ipaddress import IPv4Network, IPv6Network
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from clues.config.fields import Line, Memory, Name, Names, Number, Positive, SomeTime, Words, YesNo
from clues.config.network_fields import Networks

Placement = Literal["none", "soft-anti-affinity", "soft-affinity", "anti-affinity", "affinity"]


def _https(url: str) -> str:
    """Return a URL to which a secret may be sent: over TLS, or to this machine."""
    parts = urlsplit(url)
    if parts.hostname and (parts.scheme == "https" or parts.hostname in {"127.0.0.1", "::1", "localhost"}):
        return url
    raise ValueError(f"{url!r} is not an https URL, and a secret would be sent there")


def _floating(value: object) -> object:
    return "" if value is False else "*" if value is True else value


Url = Annotated[Name, AfterValidator(_https), Words("https URL")]
Floating = Annotated[Line, BeforeValidator(_floating), Words("`true`, `false`, or an external network")]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class OidcConfig(_Model):
    """Where access tokens of an OpenID Connect issuer come from. A name is a systemd credential, or a file in
    `/etc/clues/credentials`; a path is a file. All are read again at each login."""

    access_token_file: Line = Field("", description="Where an access token lies that something else keeps fresh.")
    renewed: YesNo = Field(False, description="Something does keep it fresh, so that its end need not be told.")
    refresh_token_file: Line = Field(
        "", description="Where a refresh token lies. Access tokens are then asked for with it."
    )
    token_endpoint: Url | None = Field(None, description="The issuer's token endpoint.")
    client_id: Line = Field("", description="The client that the refresh token was given to.")
    client_secret_file: Line = Field("", description="Where the client's secret lies, if it has one.")

    @model_validator(mode="after")
    def _is_whole(self) -> OidcConfig:
        if self.refresh_token_file and not (self.token_endpoint and self.client_id):
            raise ValueError("a refresh_token_file needs token_endpoint and client_id beside it")
        if not self.refresh_token_file and not self.access_token_file:
            raise ValueError("write access_token_file, or refresh_token_file with token_endpoint and client_id")
        return self


class VolumeConfig(_Model):
    """A volume that a VM boots from. It is made from the image, and deleted with the VM."""

    size: Memory = Field(description="Its size, such as `40GiB`.")
    type: Line = Field("", description="Its volume type. Empty: the cloud's default.")


class OpenStackConfig(_Model):
    """The keys of a site with ``connector: openstack``."""

    cloud: Line = Field(
        "",
        description="An entry of `clouds.yaml`. Empty: the one that `OS_CLOUD` names, else the environment's "
        "`OS_AUTH_URL` and its like, else the only entry.",
    )
    clouds_file: Line = Field(
        "",
        description="Where `clouds.yaml` lies: a path, or the name of a systemd credential. Empty: the first that is "
        "there of `OS_CLIENT_CONFIG_FILE`, a systemd credential `clouds.yaml`, `~/.config/openstack`, "
        "`/etc/openstack`.",
    )
    oidc: OidcConfig | None = Field(
        None,
        description="Where access tokens come from, for `v3oidcaccesstoken`: `{access_token_file: …}`, or "
        "`{refresh_token_file: …, token_endpoint: …, client_id: …}`.",
    )
    region: Line = Field("", description="The region. Empty: that of `clouds.yaml`, or the only one.")

    network: Line = Field(
        "",
        description="A range of the overlay, such as `10.77.1.0/24`: VMs get addresses of it, and the subnet with this "
        "range is used. Or the name or id of a network, where the cloud chooses addresses. Empty: the only network.",
    )
    network_name: Line = Field(
        "", description="Name or id of the network, where `network` is a range that several subnets have."
    )
    subnet: Line = Field("", description="Name or id of the subnet, where its range is larger than `network`.")
    security_groups: Names = Field(
        (), description="Names or ids of the VMs' security groups. Without them, the project's `default`."
    )
    router_security_groups: Names = Field((), description="Those of the router. Without them, the same as the VMs'.")
    router_carries: Networks = Field(
        (), description="Ranges beside `overlay.network` whose packets the router's port lets through."
    )
    floating_ip: Floating = Field(
        "",
        description="Give the router a floating IP: of the external network of this name or id, or `true`: of the only "
        "one.",
    )

    image_owner: Line = Field("", description="Id of the project whose images are meant by name. Empty: the own one.")
    boot_volume: VolumeConfig | None = Field(
        None, description="Boot from a volume instead of the flavor's own disk: `{size: 40GiB, type: fast}`."
    )
    config_drive: YesNo = Field(True, description="Give VMs a config drive, so that they need no metadata service.")
    key_pair: Line = Field("", description="Key pair of the VMs, for a sysadmin's SSH. Empty: none.")
    server_group: Placement = Field(
        "none", description="Policy of the server group that the nodes of one job are put into."
    )
    gpu_types: dict[str, str] = Field(
        {},
        description="What Slurm calls the GPUs of a flavor, by the PCI alias or resource class in its extra specs: "
        "`{a10-24g: a10, VGPU: a16}`.",
    )

    timeout: SomeTime = Field(timedelta(seconds=60), description="A piece of a reply is waited for so long.")
    calls_per_second: Positive = Field(10.0, description="So many operations a second at most, on average.")
    concurrency: Number = Field(8, description="So many operations at once.")

    @model_validator(mode="after")
    def _network_is_sound(self) -> OpenStackConfig:
        if "/" in self.network and self.range is None:
            raise ValueError(f"network: {self.network!r} is neither a range such as 10.77.1.0/24 nor a name")
        if self.network_name and self.range is None and self.network:
            raise ValueError("network_name: `network` names a network already")
        for name, kind in self.gpu_types.items():
            if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_.-]{0,63}", kind):
                raise ValueError(f"gpu_types: {kind!r} for {name} is not a GPU type as Slurm has them, such as a10")
        return self

    @property
    def range(self) -> IPv4Network | IPv6Network | None:
        """The site's range; None where ``network`` names a network, or is not given."""
        if "/" not in self.network:
            return None
        try:
            return ipaddress.ip_network(self.network)
        except ValueError:
            return None
