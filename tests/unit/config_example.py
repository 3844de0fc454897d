"""The example configuration, and plugins as strangers would write them, for the tests of the configuration."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

from clues import templates
from clues.config import CONNECTORS, LRMS, OVERLAYS, Plugins, check
from clues.model import Gpu, Resources, Settings

EXAMPLE = templates.read("clues.yaml")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class OpenStack(_Strict):
    cloud: str = Field(description="An entry of clouds.yaml.")
    network: str = ""


class OpenNebula(_Strict):
    endpoint: str
    credentials: str
    timeouts: dict[str, int] = {}


class Ec2(BaseModel):
    """It forbids nothing: unknown keys are refused all the same."""

    profile: str
    region: str

    @field_validator("region")
    @classmethod
    def check_region(cls, value: str) -> str:
        if value.count("-") != 2:
            raise ValueError(f"{value!r} is not a region: write it as eu-west-1")
        return value


class Flavor(_Strict):
    cpus: int
    memory_mib: int
    gpus: int = 0


class Local(_Strict):
    flavors: dict[str, Flavor]


class Breaks(_Strict):
    anything: str = ""

    @field_validator("anything")
    @classmethod
    def fail(cls, value: str) -> str:
        raise KeyError("oops\nsecond line")


class Nothing(_Strict):
    pass


class Flat(_Strict):
    """It wants two of the keys that every overlay has."""

    network: str = "10.77.0.0/16"
    public: str | None = None

    @field_validator("network")
    @classmethod
    def check_network(cls, value: str) -> str:
        if "/" not in value or value.endswith(".1/16"):
            raise ValueError(f"{value!r} is not a network")
        return value


class OpenVpn(Flat):
    """It wants a key of its own besides."""

    port: int = 1194
    address: str = ""
    front: str = ""


def overlapping(_: OpenVpn, settings: Settings) -> list[tuple[tuple[str | int, ...], str]]:
    """A plugin that finds something wrong with one of the sites."""
    return [
        (("sites", name, "network"), "does not please") for name, site in settings.sites.items() if "66" in site.network
    ]


class Plugin:
    def __init__(self, config: type[BaseModel], **more: Any) -> None:
        self.Config = config
        for name, value in more.items():
            setattr(self, name, value)


def local_flavors(config: Local) -> Mapping[str, Resources]:
    def gpus(flavor: Flavor) -> tuple[Gpu, ...]:
        return (Gpu("a10", flavor.gpus),) if flavor.gpus else ()

    return {name: Resources(one.cpus, one.memory_mib, gpus(one)) for name, one in config.flavors.items()}


PLUGINS: Plugins = {
    CONNECTORS: {
        "openstack": Plugin(OpenStack),
        "opennebula": Plugin(OpenNebula),
        "ec2": Plugin(Ec2),
        "local": Plugin(Local, flavors_from_config=local_flavors, network_is_cidr=True),
        "breaks": Plugin(Breaks),
    },
    LRMS: {"slurm": Plugin(Nothing, services=lambda _: [("tcp", 6817, 6817)])},
    OVERLAYS: {
        "flat": Plugin(Flat),
        "narrow": Plugin(Nothing, attaches=frozenset({"local"})),
        "openvpn": Plugin(
            OpenVpn,
            attaches=frozenset({"local", "router", "direct"}),
            mistakes=overlapping,
            front=lambda config: "10.77.252.1" if config.public else "",
            services=lambda _: [("udp", 53, 53)],
        ),
    },
}

SMALL = """\
cluster: demo
overlay: {network: 10.77.0.0/16}
sites:
  a:
    connector: local
    network: 10.77.1.0/24
    flavors: {small: {cpus: 2, memory_mib: 2048}, gpu: {cpus: 2, memory_mib: 2048, gpus: 1}}
pools:
  cpu:
    nodes: cpu-[1-4]
    shape: {cpus: 2, memory: 2GiB}
    offers:
      - {site: a, flavor: small, image: any}
"""


def write(folder: Path, text: str | bytes) -> Path:
    """Write a configuration and return its path."""
    path = folder / "clues.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8", "surrogateescape"))
    return path


def errors(folder: Path, text: str | bytes, plugins: Plugins = PLUGINS) -> list[str]:
    """Return the mistakes of a configuration, without the folder's name before them."""
    return [error.removeprefix(f"{folder}/") for error in check(write(folder, text), plugins).errors]
