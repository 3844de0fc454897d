"""How much slower a real OpenStack grows through the connector than through a bare loop of the same creates.

Both make twenty servers with reserved addresses (a port each, then the server) from as many threads as the connector
has calls at once, beginning with their login; both wait until nova shows all of them as ACTIVE, asked in the same plain
way. What the connector does besides is what is measured: it looks for each launch key before it creates, and finds out
by itself what flavor, image and network are. Rounds alternate, so that both meet the same machine.
"""

from __future__ import annotations

import base64
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import requests

from clues.model import LaunchRequest
from clues.testing.connector_site import OURS
from connectors.common.tags import tags_of
from connectors.openstack.config import OpenStackConfig
from tests.lab.bench.figures import Figure, show
from tests.lab.frontend import LabError, wait_for
from tests.lab.openstack_real import OpenStack
from tests.lab.openstack_real.api import Api
from tests.lab.openstack_real.site import RealSite

SERVERS = 20
#: which way each round goes
ORDER = ("bare", "connector", "connector", "bare")
_LONGEST = 900.0
#: what a site has that says nothing else
_PACE: float = OpenStackConfig.model_fields["calls_per_second"].default


@dataclass(frozen=True, slots=True)
class Round:
    """Seconds from the first call on."""

    accepted: float
    active: float


def run(folder: Path) -> list[Figure]:
    """Measure; takes five minutes on a machine that does nothing else."""
    rounds: dict[str, list[Round]] = {"bare": [], "connector": []}
    with OpenStack(folder) as cloud:
        _round(cloud, folder, "bare", 2)  # every process of the cloud has now done everything once
        for way in ORDER:
            rounds[way].append(_round(cloud, folder, way, SERVERS))
            one = rounds[way][-1]
            print(f"{way}: accepted {one.accepted:.1f} s, active {one.active:.1f} s", file=sys.stderr, flush=True)
    bare, ours = rounds["bare"], rounds["connector"]
    return [
        Figure("openstack_growth_ratio", _active(ours) / _active(bare), "", "under 1.3"),
        Figure("openstack_accept_ratio", _accepted(ours) / _accepted(bare), "", "under 1.3"),
        Figure("openstack_growth_seconds", _active(ours) / len(ours), "s", None),
        Figure("openstack_bare_seconds", _active(bare) / len(bare), "s", None),
    ]


def _active(rounds: list[Round]) -> float:
    return sum(one.active for one in rounds)


def _accepted(rounds: list[Round]) -> float:
    return sum(one.accepted for one in rounds)


def _round(cloud: OpenStack, folder: Path, way: str, count: int) -> Round:
    with tempfile.TemporaryDirectory(dir=folder) as inner:
        site = RealSite(cloud, Path(inner))
        try:
            wishes = [site.request(OURS, number) for number in range(1, count + 1)]
            began = time.monotonic()
            make = _bare(cloud) if way == "bare" else _ours(cloud, site)
            with ThreadPoolExecutor(site.config().concurrency) as threads:
                errors = [error for error in threads.map(make, wishes) if error]
            accepted = time.monotonic() - began
            if errors:
                raise LabError(f"{way}: {len(errors)} of {count} were refused: {errors[0]}")

            def all_active() -> bool | None:
                states = [one["status"] for one in cloud.user.servers()]
                if "ERROR" in states:
                    raise LabError(f"{way}: a server failed: {states}")
                time.sleep(0.5)
                return True if states.count("ACTIVE") == count else None

            wait_for("all servers to be active", all_active, _LONGEST)
            return Round(accepted, time.monotonic() - began)
        finally:
            site.clear()


def _ours(cloud: OpenStack, site: RealSite) -> Callable[[LaunchRequest], str]:
    """Return what makes one server by the connector, at its own pace and past the proxy of the tests."""
    connector = site.build(OURS, clouds_file=str(cloud.clouds_yaml), calls_per_second=_PACE)

    def make(request: LaunchRequest) -> str:
        (outcome,) = connector.launch([request])
        return str(outcome.error or "")

    return make


def _bare(cloud: OpenStack) -> Callable[[LaunchRequest], str]:
    """Return what makes one server by two calls, each thread with connections of its own."""
    api, seeded, local = (
        Api(cloud.urls, "clues", cloud.layout.passwords["user"], "clues"),
        cloud.seeded,
        threading.local(),
    )
    api.login()

    def post(service: str, path: str, body: object) -> requests.Response:
        if not hasattr(local, "session"):
            local.session = requests.Session()
        headers = {"X-Auth-Token": api.token, "OpenStack-API-Version": "compute 2.90"}
        answer: requests.Response = local.session.post(
            cloud.urls[service] + path, json=body, headers=headers, timeout=_LONGEST
        )
        return answer

    def make(request: LaunchRequest) -> str:
        fixed = [{"subnet_id": seeded.subnet, "ip_address": request.address}]
        wish = {"network_id": seeded.network, "name": request.launch_key, "fixed_ips": fixed}
        port = post("network", "/v2.0/ports", {"port": wish})
        if port.status_code >= 400:
            return port.text
        server = {
            "name": request.node,
            "flavorRef": seeded.flavors[request.offer.flavor],
            "imageRef": seeded.image,
            "networks": [{"port": port.json()["port"]["id"]}],
            "metadata": tags_of(request),
            "config_drive": True,
            "user_data": base64.b64encode(request.user_data.encode()).decode(),
        }
        made = post("compute", "/servers", {"server": server})
        return made.text if made.status_code >= 400 else ""

    return make


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="clues-bench-") as scratch:
        print(show("clouds", run(Path(scratch)), as_json="--json" in sys.argv))
