"""Two central points: routers know both, and find the second when the first is lost."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.lab.internet import batch
from tests.lab.vpn import Vpn
from tests.lab.vpn_tools import run
from tests.real.router_lab import SERVICES, two_sites
from tests.real.router_traffic import answering, pinging, stream, up, worst_gap
from vrouter.router import Hub

pytestmark = [pytest.mark.real, pytest.mark.slow]


def test_the_loss_of_the_first_central_point_interrupts_for_less_than_ten_seconds(tmp_path: Path) -> None:
    with two_sites(tmp_path) as sites:
        sites.net.host("front2", "198.51.100.2")
        run("front2", "sysctl", "-qw", "net.ipv4.ip_forward=1")
        (tmp_path / "hub2").mkdir()
        shutil.copy(tmp_path / "hub/tls-crypt-v2-server.key", tmp_path / "hub2")
        with Vpn(
            tmp_path / "hub2", "front2", services=SERVICES, cluster=sites.vpn.cluster, ca=sites.vpn.ca, number=1
        ) as second:
            sites.hubs = [*sites.hubs, Hub("second", "198.51.100.2", 1194)]
            sites.also = [second]
            for number in (2, 3):
                sites.router(number)
                sites.worker(number, 10)
            sites.vpn.start(*sites.members.values())
            second.start(*sites.members.values())
            sites.publish()
            for machine in sites.machines.values():
                machine.start()
            up(sites)
            with (
                answering("w3-10", "10.77.3.10", 41004),
                stream("w2-10", "10.77.3.10", 41004, 15) as process,
                pinging("w2-10", "10.77.3.10", 15) as silence,
            ):
                batch("front", "link set wan0 down")
                worst_gap(process)
            print(f"loss of the first central point: {silence[0]:.1f} s without an answer")
            assert silence[0] < 10
