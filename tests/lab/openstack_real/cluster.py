"""The demo's cluster with one site: the real OpenStack, whose servers are booted here.

Everything but the site is the demo's: slurmctld, cluesd and its helpers, the enrolment, the workers' slurmds. It runs
in the sandbox, with the cloud in there too.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from tests.lab.booter import Booter, Ground
from tests.lab.cluster import Cluster
from tests.lab.openstack_real import seed
from tests.lab.openstack_real.cloud import OpenStack
from tests.lab.openstack_real.listed import listed
from tests.lab.topology import Plan

SITE = "lab"
#: calmer than the lab's own: nova's list costs half a second of a processor
_PACE = {"look": "5s", "listing": "15s", "listing_busy": "3s", "vanished_after": "10s", "retry_offer": "5s"}


class OpenStackCluster(Cluster):
    """A cluster of up to 20 CPU nodes and three GPU nodes, of which the cloud can make two."""

    def __init__(self, folder: Path, cloud: OpenStack, idle: str = "10s", most: int | None = None) -> None:
        """:param most: of all VMs, only so many are booted at once."""
        super().__init__(folder, Plan(vms={}, idle=idle, cpu_nodes="cpu-[01-20]", gpu_nodes="gpu-[01-03]", pace=_PACE))
        self.cloud = cloud
        ground = Ground(shared=(self.home,))
        self.booter = Booter(partial(listed, cloud.admin), self.folder / "vms", ground, most=most, every=1.0)

    def document(self) -> dict[str, Any]:
        """The demo's configuration, with the one site in place of its own."""
        found = super().document()
        found["sites"] = {
            SITE: {
                "connector": "openstack",
                "cloud": "lab",
                "clouds_file": str(self.cloud.clouds_yaml),
                "network": seed.RANGE,
                "image_owner": self.cloud.seeded.image_owner,
                "gpu_types": {"CUSTOM_GPU_A10": "a10"},
                "limits": {"vms": 20},
            }
        }
        for pool, flavor in (("cpu", "small"), ("gpu", "gpu.small")):
            found["pools"][pool]["offers"] = [{"site": SITE, "flavor": flavor, "image": seed.IMAGE}]
        return found

    def __enter__(self) -> OpenStackCluster:
        super().__enter__()
        try:
            self.booter.__enter__()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop_daemon()
        try:
            self.booter.__exit__()
        finally:
            self.stop()

    def servers(self) -> list[dict[str, Any]]:
        """All servers that nova has, whoever's."""
        return self.cloud.admin.servers("all_tenants=1&")

    def living(self) -> list[str]:
        """What there still is: servers on nova's list, and VMs that run."""
        return sorted({*(one["id"] for one in self.servers()), *self.booter.living()})
