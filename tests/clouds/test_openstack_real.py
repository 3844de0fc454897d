"""The connector to OpenStack against a real one: what a fake of ours cannot prove."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar

import pytest
import requests

from clues.errors import AuthFailed, CloudError, InvalidRequest, OutcomeUnknown, QuotaExceeded, Transient
from clues.model import Gpu, Instance, InstanceState, LaunchRequest, Soundness
from clues.testing.connector_contract import OURS, ConnectorContract
from clues.testing.connector_site import find, launch, launch_error, listed
from clues.testing.wire import WireFault
from connectors.openstack.connector import OpenStackConnector
from tests.lab.frontend import wait_for
from tests.lab.openstack_real import OpenStack, seed
from tests.lab.openstack_real.site import PATIENCE, RealSite

pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenStack]:
    with OpenStack(tmp_path_factory.mktemp("cloud")) as cloud:
        yield cloud


@pytest.fixture
def site(cloud: OpenStack, tmp_path: Path) -> Iterator[RealSite]:
    site = RealSite(cloud, tmp_path)
    yield site
    site.clear()


class TestContract(ConnectorContract):
    """What every connector keeps, with nova's own states and refusals."""

    QUOTA_VMS: ClassVar[int | None] = 5
    TELLS_PRICES: ClassVar[bool] = False
    PRICES_OFFERS: ClassVar[bool] = False
    CREDENTIALS_END: ClassVar[bool] = False  # the application credential has no end
    SHOWS_ENDED: ClassVar[bool] = False  # nova shows ended servers to admins only
    PATIENCE: ClassVar[timedelta] = timedelta(seconds=PATIENCE)
    ERRORS: ClassVar[dict[str, tuple[str, ...]]] = {
        "launch": ("auth", "throttled", "transient", "unknown-outcome"),
        "list": ("auth", "throttled", "transient"),
        "terminate": ("auth", "throttled", "transient", "unknown-outcome"),
        "quota": ("auth", "throttled", "transient"),
    }

    @pytest.fixture
    def site(self, cloud: OpenStack, tmp_path: Path) -> Iterator[RealSite]:
        cloud.set_quota(instances=5)
        site = RealSite(cloud, tmp_path)
        yield site
        site.clear()


# --- a server's life ------------------------------------------------------------------------------------------------


def test_servers_run_with_the_addresses_reserved_for_them_and_leave_no_port(site: RealSite) -> None:
    connector = site.connect(OURS)
    wishes = [site.request(OURS, number) for number in (1, 2, 3)]
    made = [launch(connector, request) for request in wishes]
    wanted = [request.address for request in wishes]
    assert site.addresses() == sorted(wanted)
    for one, address in zip(made, wanted, strict=True):
        running = comes_to(connector, one, InstanceState.RUNNING)
        assert running.addresses == (address,)
        assert len(running.macs) == 1
    for one in made:
        connector.terminate(one.id)
    eventually(lambda: listed(connector) == () and site.ids() == set())
    assert site.addresses() == []


def test_an_address_serves_the_next_server_as_soon_as_the_last_one_is_gone(site: RealSite) -> None:
    connector, request = site.connect(OURS), site.request(OURS, 1)
    first = launch(connector, request)
    again = replace(request, launch_key=f"{request.launch_key}-2", generation=2)
    error = launch_error(connector, again)
    assert type(error) is Transient, error
    connector.terminate(first.id)
    eventually(lambda: listed(connector) == ())
    assert comes_to(connector, launch(connector, again), InstanceState.RUNNING).addresses == (request.address,)


def test_a_server_whose_address_neutron_chooses_leaves_no_port_either(site: RealSite) -> None:
    connector = site.build(OURS, network=seed.NETWORK)
    running = comes_to(connector, launch(connector, site.request(OURS, 1)), InstanceState.RUNNING)
    assert [site.addresses()] == [list(running.addresses)]
    connector.terminate(running.id)
    eventually(lambda: listed(connector) == () and site.addresses() == [])


def test_a_port_that_a_dead_daemon_has_left_is_deleted_after_some_minutes(site: RealSite) -> None:
    first = site.connect(OURS)
    body = {"network_id": site.cloud.seeded.network, "name": "clues-lost", "description": f"clues {OURS}"}
    port = site.cloud.user.post("network", "/v2.0/ports", {"port": body})["port"]["id"]
    foreign = site.cloud.user.post("network", "/v2.0/ports", {"port": {**body, "description": "blue"}})["port"]["id"]
    listed(first)
    hours = itertools.count()
    later = site.build(OURS, monotonic=lambda: next(hours) * 3600.0)
    listed(later)
    listed(later)
    assert {one["id"] for one in site.cloud.user.ports()} == {foreign} != {port}


def test_a_gang_has_a_server_group_of_its_own_until_nobody_is_in_it(site: RealSite) -> None:
    # more groups than nova tells at once: ours stand behind them
    for number in range(12):
        body = {"server_group": {"name": f"other-{number}", "policy": "soft-affinity"}}
        site.cloud.user.post("compute", "/os-server-groups", body)
    hours = itertools.count()
    connector = site.build(OURS, monotonic=lambda: next(hours) * 3600.0, server_group="soft-anti-affinity")
    made = [launch(connector, site.request(OURS, number, gang="4188")) for number in (1, 2)]
    ours = [one for one in groups(site) if one["name"].startswith("clues-")]
    assert [sorted(one["members"]) for one in ours] == [sorted(one.id for one in made)]
    for one in made:
        connector.terminate(one.id)
    eventually(lambda: listed(connector) == ())
    listed(connector)
    listed(connector)
    assert {one["name"].startswith("clues-") for one in groups(site)} == {False}


# --- no room --------------------------------------------------------------------------------------------------------


def test_a_flavor_that_no_host_can_carry_is_an_error_for_want_of_capacity(site: RealSite) -> None:
    expect_no_capacity(site, site.request(OURS, 1, flavor="too.large"))


def test_a_gpu_too_many_is_an_error_for_want_of_capacity(site: RealSite) -> None:
    connector = site.connect(OURS)
    flavors = {one.name: one.resources for one in connector.flavors()}
    assert flavors["gpu.small"].gpus == (Gpu("a10", 1),)
    for number in (1, 2):
        comes_to(connector, launch(connector, site.request(OURS, number, "gpu.small")), InstanceState.RUNNING)
    expect_no_capacity(site, site.request(OURS, 3, "gpu.small"))


def test_a_site_whose_hypervisors_are_disabled_has_no_capacity(site: RealSite) -> None:
    site.cloud.enable_hypervisor(False)
    expect_no_capacity(site, site.request(OURS, 1))
    site.cloud.enable_hypervisor(True)
    comes_to(site.connect(OURS), launch(site.connect(OURS), site.request(OURS, 2)), InstanceState.RUNNING)


# --- refusals -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("limits", [{"instances": 1}, {"cores": 7}, {"ram": 8000}], ids=str)
def test_a_quota_that_is_used_up_is_told_as_that_and_leaves_no_port(site: RealSite, limits: dict[str, int]) -> None:
    site.cloud.set_quota(**limits)
    connector = site.connect(OURS)
    first = launch(connector, site.request(OURS, 1))
    # nova does not count a server that it has accepted a moment ago; one too many then fails later, as a fault
    comes_to(connector, first, InstanceState.RUNNING)
    error = launch_error(connector, site.request(OURS, 2))
    assert type(error) is QuotaExceeded
    assert "Quota exceeded" in error.words
    assert [one.id for one in listed(connector)] == [first.id]
    assert site.addresses() == [site.request(OURS, 1).address]


def test_a_policy_that_forbids_is_no_quota(site: RealSite) -> None:
    reader = site.build(OURS, cloud="lab-reader", network=seed.NETWORK)
    assert listed(reader) == ()
    error = launch_error(reader, site.request(OURS, 1))
    assert type(error) is AuthFailed
    assert "Policy" in error.words
    assert site.ids() == set()


def test_a_flavor_that_policy_forbids_is_a_fault_of_the_offer_and_not_of_the_credentials(site: RealSite) -> None:
    connector, request = site.connect(OURS), site.request(OURS, 1, seed.DISKLESS)
    error = launch_error(connector, request)
    assert type(error) is InvalidRequest, error.words
    assert "zero disk" in error.words
    assert site.addresses() == []


def test_the_quota_is_what_nova_says(site: RealSite) -> None:
    site.cloud.set_quota(instances=7, cores=30, ram=40_000)
    connector = site.connect(OURS)
    launch(connector, site.request(OURS, 1))
    quota = connector.quota()
    assert quota is not None
    assert (quota.limits.vms, quota.limits.cpus) == (7, 30)

    def counted() -> bool:
        # nova does not count a server yet that it has accepted a moment ago
        now = connector.quota()
        return now is not None and (now.vms_used, now.used.cpus, now.used.memory_mib) == (1, 4, 4096)

    eventually(counted)


def test_an_examination_finds_nothing_wrong_here_and_a_flavor_that_is_not_there(site: RealSite) -> None:
    connector, offer = site.connect(OURS), site.request(OURS, 1).offer
    assert [one for one in connector.examine([offer]) if one.soundness is Soundness.BAD] == []
    ill = connector.examine([replace(offer, flavor="gone"), replace(offer, image="gone")])
    assert sorted(one.topic for one in ill if one.soundness is Soundness.BAD) == ["flavor gone", "image gone"]


# --- tokens ---------------------------------------------------------------------------------------------------------


def test_a_token_that_is_revoked_in_the_middle_is_renewed_without_a_word(site: RealSite) -> None:
    connector = site.connect(OURS)
    with ThreadPoolExecutor(4) as threads:
        wishes = [site.request(OURS, number) for number in range(1, 7)]
        running = [threads.submit(connector.launch, [request]) for request in wishes]
        running[0].result()
        revoked = revoke(site, connector)
        outcomes = [one.result()[0] for one in running]
    assert [one.error for one in outcomes] == [None] * 6
    assert len(site.keys()) == 6
    assert connector.session.token().id != revoked
    revoke(site, connector)
    assert len(listed(connector)) == 6


def test_credentials_that_are_deleted_are_told_as_that(site: RealSite) -> None:
    user = site.cloud.user
    me = site.cloud.admin.get("identity", "/users?name=clues")["users"][0]["id"]
    wish = {"name": "short", "secret": site.secrets[0], "unrestricted": False}
    path = f"/users/{me}/application_credentials"
    made = user.post("identity", path, {"application_credential": wish})["application_credential"]["id"]
    clouds = site.folder / "clouds.yaml"
    clouds.write_text(clouds.read_text().replace(site.cloud.seeded.application_credential, made))
    connector = site.connect(OURS)
    assert listed(connector) == ()
    user.delete("identity", f"{path}/{made}")
    with pytest.raises(AuthFailed):
        connector.list_instances()


# --- pages ----------------------------------------------------------------------------------------------------------


def test_ours_are_found_on_every_page_and_pages_that_fail_are_an_error(site: RealSite) -> None:
    connector = site.connect(OURS)
    first = launch(connector, site.request(OURS, 1))
    site.add_foreign("other", 11)
    last = launch(connector, site.request(OURS, 2))
    before = len(site.wire.requests)
    assert {one.id for one in listed(connector)} == {first.id, last.id}
    pages = [one for one in site.wire.requests[before:] if site.is_op("list", *one)]
    assert len(pages) == 2, [one.path for one in pages]
    assert {f"other.{number}" for number in range(1, 9)} < {one.name for one in connector.flavors()}


# --- nova dies ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("network", [seed.RANGE, seed.NETWORK], ids=["reserved-addresses", "neutron-chooses"])
def test_nova_killed_in_the_middle_of_launches_loses_nothing_and_doubles_nothing(site: RealSite, network: str) -> None:
    connector = site.build(OURS, network=network)
    wishes = [site.request(OURS, number) for number in range(1, 13)]
    asked, failed = threading.Semaphore(0), []

    def one(number: int) -> Instance:
        while True:
            asked.release()
            (outcome,) = connector.launch([wishes[number]])
            if outcome.instance is not None:
                return outcome.instance
            assert isinstance(outcome.error, OutcomeUnknown | Transient), outcome.error
            failed.append(outcome.error)
            back.wait(PATIENCE)

    back = threading.Event()
    # two more are made whose answers get lost: that nova dies exactly between the two cannot be arranged
    lost = site.wire.next(WireFault.LOST_REPLY, lambda *request: site.is_op("launch", *request), times=2)
    with ThreadPoolExecutor(4) as threads:
        running = [threads.submit(one, number) for number in range(len(wishes))]
        for _ in range(6):
            asked.acquire(timeout=PATIENCE)
        # some are accepted, four are under way
        site.cloud.kill("nova")
        with pytest.raises(CloudError):
            connector.list_instances()
        site.cloud.restart("nova")
        back.set()
        made = [each.result() for each in running]
    assert lost.left == 0
    assert len(failed) > 2, "nova was killed too late: no launch noticed"
    assert site.keys() == sorted(request.launch_key for request in wishes)
    assert {instance.id for instance in made} == site.ids() == {instance.id for instance in listed(connector)}
    for instance in made:
        connector.terminate(instance.id)
    eventually(lambda: listed(connector) == () and site.addresses() == [])


# --- helpers --------------------------------------------------------------------------------------------------------


def eventually(true: Callable[[], bool]) -> None:
    """Wait until something is true."""
    wait_for("it to come true", lambda: True if true() else None, PATIENCE)


def comes_to(connector: OpenStackConnector, instance: Instance, state: InstanceState) -> Instance:
    """Wait until an instance is in a state; what it then is."""

    def seen() -> Instance | None:
        now = find(connector, instance.id)
        return now if now.state is state else None

    return wait_for(f"{instance.node} to be {state}", seen, PATIENCE, lambda: find(connector, instance.id))


def expect_no_capacity(site: RealSite, request: LaunchRequest) -> None:
    """Launch what no host takes: the server is made, becomes ERROR, says why, and can be ended without a trace."""
    connector = site.connect(OURS)
    failed = comes_to(connector, launch(connector, request), InstanceState.ERROR)
    assert failed.fault_code == "no-capacity"
    assert "No valid host was found" in failed.fault
    connector.terminate(failed.id)
    eventually(lambda: failed.id not in {one.id for one in listed(connector)})
    assert request.address not in site.addresses()


def groups(site: RealSite) -> list[dict[str, Any]]:
    """Return all server groups of the project."""
    found: list[dict[str, Any]] = []
    while page := site.cloud.user.get("compute", f"/os-server-groups?offset={len(found)}")["server_groups"]:
        found += page
    return found


def revoke(site: RealSite, connector: OpenStackConnector) -> str:
    """Have keystone revoke the token that the connector uses; it, once nova refuses it."""
    token = connector.session.token().id
    site.cloud.admin.call("DELETE", "identity", "/auth/tokens", headers={"X-Subject-Token": token})

    def ask() -> int:
        answer = requests.get(f"{site.cloud.urls['compute']}/flavors", headers={"X-Auth-Token": token}, timeout=60)
        return answer.status_code

    eventually(lambda: ask() == 401)
    return token
