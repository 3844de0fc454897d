"""What a lab cluster's configuration says: the sites, where they are, and the pools on top of them.

Two topologies. *Flat*: both sites hang on the front-end's own bridge. With the *overlay*: `cesnet` is in the
front-end's network, behind a gateway with a public address; `upv` is somewhere else, behind NAT, and its workers have
private addresses only.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.lab.internet import LAN, Internet

FLAVORS = {
    "small": {"cpus": 4, "memory": "4GiB"},
    "gpu.small": {"cpus": 4, "memory": "4GiB", "gpus": "a10:1"},
}
ROUTER_FLAVOR = {"router": {"cpus": 1, "memory": "1GiB"}}

#: The front-end's address and its bridge; the addresses that the two sites have in the internet.
FRONT, BRIDGE = "10.77.0.1", "clues0"
PUBLIC, UPV_PUBLIC = "198.51.100.10", "198.51.100.20"
OPENVPN_PORT = 1194

PACE = {
    "look": "3s",
    "listing": "3s",
    "look_busy": "500ms",
    "listing_busy": "1s",
    "poke": "500ms",
    "retry_offer": "3s",
    "retry_offer_longest": "20s",
    "vanished_after": "3s",
    "quarantine": "5s",
    "misread_after": "20s",
}


@dataclass
class Plan:
    """What differs from one lab cluster to the next; the defaults are the demo's."""

    boot_time: str = "0s"
    idle: str = "4s"
    vms: Mapping[str, int] = field(default_factory=lambda: {"cesnet": 5, "upv": 4})
    cpu_nodes: str = "cpu-[01-08]"
    gpu_nodes: str = "gpu-[01-02]"
    pace: Mapping[str, Any] = field(default_factory=dict)
    pool: Mapping[str, Any] = field(default_factory=dict)
    site: Mapping[str, Any] = field(default_factory=dict)
    #: lines of slurm.conf behind the fragment, where a site has its own nodes; the last value of a key counts
    slurm_conf: str = ""
    #: `upv` is behind NAT and joined by tunnels; else both sites are in the front-end's network
    overlay: bool = False
    #: pools in which Slurm's power saving picks the nodes
    eager: tuple[str, ...] = ()
    #: keys of upv's router
    router: Mapping[str, Any] = field(default_factory=dict)

    @property
    def prefix_length(self) -> int:
        """Of the front-end's own network."""
        return 23 if self.overlay else 16


@dataclass(frozen=True, slots=True)
class Front:
    """What the configuration has to know of the front-end that it is for."""

    state: Path
    socket: Path
    sites: Path
    home: Path
    slurm_conf: Path
    munge_key: Path
    slurmctld_port: int
    slurmd_port: int
    enrolment_port: int


def document(plan: Plan, front: Front) -> dict[str, Any]:
    """Return the configuration as a mapping."""
    sites = {site: _site(plan, front, number, site) for number, site in enumerate(plan.vms, start=1)}
    both = list(plan.vms)
    shape = {"cpus": 4, "memory": "2GiB"}
    enrolment = f"{FRONT}:{front.enrolment_port}"
    found: dict[str, Any] = {
        "cluster": "demo",
        "state": str(front.state),
        "socket": str(front.socket),
        "overlay": {"type": "flat", "network": "10.77.0.0/16", "public": FRONT},
        "enrolment": {"listen": enrolment, "address": enrolment},
        "lrms": {
            "conf": str(front.slurm_conf),
            "munge_key": str(front.munge_key),
            "slurmctld": f"{FRONT}:{front.slurmctld_port}",
            "default_partition": "cpu",
            # pretended GPUs: slurmd wants a device file for each
            "gpu_devices": ["/dev/null", "/dev/zero"],
        },
        "sites": sites,
        "pools": {
            "cpu": {
                "nodes": plan.cpu_nodes,
                "shape": shape,
                "idle": plan.idle,
                "offers": [{"site": site, "flavor": "small", "image": "here"} for site in both],
                **deepcopy(dict(plan.pool)),
            },
            "gpu": {
                "nodes": plan.gpu_nodes,
                "shape": {**shape, "gpus": "a10:1"},
                "idle": plan.idle,
                "offers": [{"site": site, "flavor": "gpu.small", "image": "here"} for site in reversed(both)],
                **deepcopy(dict(plan.pool)),
            },
        },
        "pace": {**PACE, **plan.pace},
    }
    for name in plan.eager:
        found["pools"][name]["mode"] = "eager"
    if plan.overlay:
        found["overlay"] = {"network": "10.77.0.0/16", "public": PUBLIC, "port": OPENVPN_PORT}
        found["enrolment"]["public"] = f"{PUBLIC}:{front.enrolment_port}"
        found["lrms"]["slurmd_port"] = front.slurmd_port
    return found


def _site(plan: Plan, front: Front, number: int, site: str) -> dict[str, Any]:
    found: dict[str, Any] = {
        "connector": "local",
        "network": f"10.77.{number}.0/24",
        "folder": str(front.sites / site),
        "flavors": deepcopy(FLAVORS),
        "shared": [str(front.home)],
        "boot_time": plan.boot_time,
        "limits": {"vms": plan.vms[site]},
        "prefix": plan.prefix_length,
    }
    if plan.overlay and site == "upv":
        found |= {
            "attach": "router",
            "router": {"flavor": "router", "image": "here", "linger": "6s", **plan.router},
            "egress": [f"{UPV_PUBLIC}/32"],
            "namespace": "upv",
            "bridge": LAN,
            "gateway": "10.77.2.1",
            "prefix": 24,
            "flavors": deepcopy({**FLAVORS, **ROUTER_FLAVOR}),
            "limits": {"vms": plan.vms[site] + 1},
        }
    return found | deepcopy(dict(plan.site))


@contextmanager
def internet(enrolment_port: int) -> Iterator[Internet]:
    """Make the ground that the overlay's topology stands on; the front-end's bridge is there already."""
    forwards = {("udp", OPENVPN_PORT): FRONT, ("tcp", enrolment_port): FRONT}
    with ExitStack() as stack:
        net = stack.enter_context(Internet())
        net.site("cesnet", lan="10.77.0.0/23", gateway="10.77.0.254", public=PUBLIC, forwards=forwards)
        net.site("upv", lan="10.77.2.0/24", gateway="10.77.2.1", public=UPV_PUBLIC)
        net.connect("cesnet", BRIDGE, via="10.77.0.254")
        # the front-end is the gateway of its own site's workers to the other sites
        subprocess.run(["sysctl", "-qw", "net.ipv4.ip_forward=1"], check=True)
        yield net
