"""What an OpenNebula site can be told in ``clues.yaml``."""

from __future__ import annotations

import re
from datetime import timedelta
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from clues.config.fields import Number, Positive, SomeTime, YesNo

_HERE = ("127.0.0.1", "::1", "localhost")


class Guest(StrEnum):
    """What reads the context inside the VM."""

    CLOUD_INIT = "cloud-init"
    ONE_CONTEXT = "one-context"


class OpenNebulaConfig(BaseModel):
    """The keys of a site with ``connector: opennebula``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    endpoint: str = Field(
        description="URL of the XML-RPC API, such as `https://one.example.org/RPC2` or `https://one.example.org:2633/RPC2`."
    )
    credentials: str = Field(
        "",
        description="A systemd credential (or a file below `/etc/clues/credentials`), or the path of a file, that only "
        "cluesd can read, with one line `user:password` or `user:token`. Empty: the file that `$ONE_AUTH` names.",
    )
    ca: Path | None = Field(
        None, description="File with the CA certificates that the endpoint's is verified with. Without it the system's."
    )
    plain_http: YesNo = Field(
        False,
        description="Let the endpoint be `http://` on another machine: the password then crosses the network readable "
        "for everybody on the way.",
    )
    network: str = Field(
        "",
        description="A range of the overlay, such as `10.77.2.0/24`: VMs get addresses of it, in the virtual network "
        "that has them. Or the virtual network's name, `owner/name` or id, where OpenNebula chooses the addresses. "
        "Empty: what the template's own NICs say.",
    )
    vnet: str = Field(
        "",
        description="The virtual network's name, `owner/name` or id, where `network` is a range that several have.",
    )
    context: Guest = Field(
        Guest.CLOUD_INIT,
        description="What reads the context in the image, and runs what it finds: `cloud-init` or `one-context` "
        "(OpenNebula's own package).",
    )
    anti_spoofing: YesNo = Field(
        False,
        description="Switch the filters for stolen addresses on with each NIC. OpenNebula lets only members of the "
        "group oneadmin do that; everybody else leaves it off, and has them in the templates or the network.",
    )
    pending: SomeTime = Field(
        timedelta(minutes=3),
        description="A VM for which OpenNebula has found no host after so long is given up: there is no capacity.",
    )
    currency: str = Field(
        "",
        pattern=r"^([A-Z]{3})?$",
        description="The currency of the templates' CPU_COST, MEMORY_COST and DISK_COST, such as `EUR`. "
        "Empty: they are no prices.",
    )
    timeout: SomeTime = Field(timedelta(seconds=30), description="Longest wait for each piece of an answer.")
    calls_per_second: Positive = Field(10.0, description="Most calls in a second on average.")
    concurrency: Number = Field(6, description="Most calls at once. OpenNebula serves 15 at once, of all its users.")

    @field_validator("network")
    @classmethod
    def _is_a_range_or_a_name(cls, value: str) -> str:
        if re.fullmatch(r"[0-9a-fA-F.:]*[.:][0-9a-fA-F.:]*/[0-9]+", value):
            ip_network(value)  # no owner has such a name
        return value

    @field_validator("endpoint")
    @classmethod
    def _is_an_endpoint(cls, value: str) -> str:
        split(value)
        return value

    @model_validator(mode="after")
    def _is_safe(self) -> OpenNebulaConfig:
        secure, host, _, _ = split(self.endpoint)
        if not secure and host not in _HERE and not self.plain_http:
            raise ValueError(
                f"endpoint {self.endpoint!r}: the password would cross the network readable for everybody on the way. "
                "Write https://, or plain_http: true where that network can be trusted"
            )
        if self.vnet and self.network and self.range is None:
            raise ValueError("vnet: `network` names a network already")
        if self.ca is not None and not self.ca.is_absolute():
            raise ValueError(f"ca: {self.ca} is relative, and a daemon stands in no particular folder: write it from /")
        return self

    @property
    def virtual_network(self) -> str:
        """Which virtual network is named; empty: none is."""
        return self.vnet or ("" if self.range is not None else self.network)

    @property
    def range(self) -> IPv4Network | IPv6Network | None:
        """The range of the VMs' addresses; None where ``network`` is no range."""
        if "/" not in self.network:
            return None
        try:
            return ip_network(self.network)
        except ValueError:
            return None  # owner/name


def split(url: str) -> tuple[bool, str, int, str]:
    """Return whether an endpoint is spoken to over TLS, its host, its port and its path.

    :raises ValueError: it is no URL of an endpoint.
    """
    parts = urlsplit(url)
    odd = parts.query or parts.fragment or parts.username is not None
    if parts.scheme not in ("http", "https") or not parts.hostname or odd or not url.isprintable():
        raise ValueError(f"{url!r} is not an endpoint: write https://HOST/RPC2 or https://HOST:PORT/RPC2")
    secure = parts.scheme == "https"
    return secure, parts.hostname, parts.port or (443 if secure else 80), parts.path or "/RPC2"
