"""What all connectors share: look before a launch, renew a login once, end only what is ours, tell one type."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from clues.errors import AuthFailed, CloudError, InvalidRequest, NotFound, OutcomeUnknown, Transient
from clues.model import Finding, Flavor, Instance, InstanceState, Kind, LaunchRequest, Offer, Quota, Resources
from clues.ports import PluginContext
from clues.testing.wire_site import chain, failure_of
from connectors.common.cloud import CloudConnector
from connectors.common.drivers import Drivers
from connectors.common.failures import Failures, Refused, Rule
from connectors.common.made import Made
from connectors.common.pace import Gate
from connectors.common.tags import tagged, tags_of

OURS, THEIRS = "ours", "theirs"
FAILURES = Failures([Rule(NotFound, status=404)])


def request(number: int = 1) -> LaunchRequest:
    return LaunchRequest(
        OURS, f"key-{number}", Kind.WORKER, f"node-{number}", "pool", 1, Offer("site", "f", "i"), Resources(), ""
    )


class Cloud:
    """A provider in memory; what is put into ``next`` by op is raised once, before or after the effect."""

    def __init__(self) -> None:
        self.vms: dict[str, Instance] = {}
        self.calls: list[str] = []
        self.before: dict[str, list[Exception]] = {}
        self.after: dict[str, list[Exception]] = {}
        self.logins: list[Exception | None] = []
        self.meanwhile: Callable[[], object] = lambda: None

    def add(self, key: str, cluster: str = OURS, state: InstanceState = InstanceState.RUNNING) -> Instance:
        tags = {**tags_of(request()), "clues-cluster": cluster, "clues-launch-key": key}
        made = tagged(tags, instance_id=f"i-{len(self.vms)}", site="site", state=state)
        self.vms[made.id] = made
        return made

    def play(self, op: str, faults: dict[str, list[Exception]]) -> None:
        if faults.get(op):
            raise faults[op].pop(0)


class Driver:
    """A login of one thread's."""

    def __init__(self, cloud: Cloud) -> None:
        if cloud.logins and (error := cloud.logins.pop(0)):
            raise error
        self.cloud = cloud


class Connector(CloudConnector[Driver]):
    def __init__(self, cloud: Cloud, cluster: str = OURS) -> None:
        context = PluginContext(cluster, "site", Path("/nonexistent"))
        super().__init__(context, Drivers(lambda: Driver(cloud)), FAILURES, Gate(10_000, 16))

    def _do(self, driver: Driver, op: str, effect: Callable[[], Instance | None] = lambda: None) -> Instance | None:
        cloud = driver.cloud
        cloud.calls.append(op)
        cloud.play(op, cloud.before)
        made = effect()
        cloud.play(op, cloud.after)
        return made

    def read_all(self, driver: Driver) -> list[Instance]:
        self._do(driver, "list")
        found = list(driver.cloud.vms.values())
        driver.cloud.meanwhile()
        return found

    def read(self, driver: Driver, instance_id: str) -> Instance:
        self._do(driver, "read")
        if instance_id not in driver.cloud.vms:
            raise Refused(404, "no such VM")
        return driver.cloud.vms[instance_id]

    def create(self, driver: Driver, request: LaunchRequest) -> Instance:
        made = self._do(driver, "create", lambda: driver.cloud.add(request.launch_key))
        assert made is not None
        return made

    def destroy(self, driver: Driver, instance: Instance) -> None:
        def effect() -> None:
            driver.cloud.vms.pop(instance.id, None)

        self._do(driver, "destroy", effect)

    def read_quota(self, driver: Driver) -> Quota | None:
        return None

    def read_flavors(self, driver: Driver) -> list[Flavor]:
        return []

    def examine(self, offers: Sequence[Offer]) -> list[Finding]:
        return []


class Once(Connector):
    CREATES_ONCE = True


@pytest.fixture
def cloud() -> Cloud:
    return Cloud()


def launched(connector: Connector, number: int = 1) -> Instance:
    (outcome,) = connector.launch([request(number)])
    assert outcome.error is None
    assert outcome.instance is not None
    return outcome.instance


def refused(connector: Connector) -> CloudError:
    (outcome,) = connector.launch([request()])
    assert outcome.error is not None
    return outcome.error


# --- launching -------------------------------------------------------------------------------------------------------


def test_a_launch_looks_first_unless_the_provider_makes_no_second(cloud: Cloud) -> None:
    launched(Connector(cloud))
    assert cloud.calls == ["list", "create"]
    cloud.calls.clear()
    launched(Once(cloud))
    assert cloud.calls == ["create"]


def test_a_vm_with_the_key_is_the_answer_but_not_an_ended_one_nor_a_strangers(cloud: Cloud) -> None:
    cloud.add("key-1", cluster=THEIRS)
    cloud.add("key-1", state=InstanceState.GONE)
    made = launched(Connector(cloud))
    assert len(cloud.vms) == 3
    assert launched(Connector(cloud)).id == made.id
    assert len(cloud.vms) == 3


def test_what_this_process_made_is_found_though_no_listing_shows_it(cloud: Cloud) -> None:
    connector = Connector(cloud)
    made = launched(connector)
    connector.read_all = lambda driver: []  # type: ignore[method-assign]
    assert launched(connector).id == made.id
    cloud.vms[made.id] = replace(made, state=InstanceState.GONE)
    again = launched(connector)
    assert again.id != made.id
    del cloud.vms[again.id]
    assert launched(connector).state is InstanceState.RUNNING


def test_what_was_made_is_forgotten_once_a_listing_shows_it_and_never_grows_without_bound(cloud: Cloud) -> None:
    connector = Connector(cloud)
    launched(connector, 1)
    assert "key-1" in connector._made
    connector.list_instances()
    assert "key-1" not in connector._made
    few = Made(2)
    for number in range(4):
        few.add(f"key-{number}", f"i-{number}")
    assert [few.get(f"key-{number}") for number in range(4)] == [None, None, "i-2", "i-3"]


@pytest.mark.parametrize("kind", [Connector, Once])
def test_a_reply_that_is_lost_after_a_launch_is_told_and_nothing_is_sent_twice(
    cloud: Cloud, kind: type[Connector]
) -> None:
    connector = kind(cloud)
    cloud.after["create"] = [ConnectionResetError("reset")]
    assert type(refused(connector)) is OutcomeUnknown
    assert cloud.calls.count("create") == 1


def test_a_look_that_fails_before_a_launch_has_had_no_effect_and_nothing_is_made(cloud: Cloud) -> None:
    cloud.before["list"] = [ConnectionResetError("reset")]
    assert type(refused(Connector(cloud))) is Transient
    assert cloud.calls == ["list"]


def test_a_login_that_fails_before_a_launch_has_had_no_effect(cloud: Cloud) -> None:
    cloud.logins = [ConnectionResetError("reset")]
    error = refused(Once(cloud))
    assert type(error) is Transient
    assert error.no_effect
    assert cloud.vms == {}


def test_one_key_is_launched_by_one_thread_at_a_time_over_all_connectors_of_a_site(cloud: Cloud) -> None:
    together = threading.Barrier(2)

    def wait_for_another() -> None:
        with suppress(threading.BrokenBarrierError):
            together.wait(0.2)  # two that look at the same time would both find nothing

    cloud.meanwhile = wait_for_another
    with ThreadPoolExecutor(4) as threads:
        ids = set(threads.map(lambda _: launched(Connector(cloud)).id, range(4)))
    assert len(ids) == len(cloud.vms) == 1


def test_one_bad_request_does_not_spoil_the_others(cloud: Cloud) -> None:
    cloud.before["create"] = [InvalidRequest("no such flavor")]
    outcomes = Connector(cloud).launch([request(1), request(2)])
    assert [type(one.error) for one in outcomes] == [InvalidRequest, type(None)]


# --- logins ----------------------------------------------------------------------------------------------------------


def test_a_refused_login_is_renewed_once_and_the_call_goes_on(cloud: Cloud) -> None:
    connector = Connector(cloud)
    connector.list_instances()
    first = connector._drivers.get()
    cloud.before["list"] = [Refused(401, "expired")]
    connector.list_instances()
    assert connector._drivers.get() is not first
    cloud.before["create"] = [Refused(401, "expired")]
    launched(connector)
    assert cloud.calls.count("create") == 2


def test_a_login_that_stays_refused_is_told_after_the_second_time(cloud: Cloud) -> None:
    cloud.before["list"] = [Refused(401, "revoked")] * 5
    error = failure_of(Connector(cloud).list_instances)
    assert type(error) is AuthFailed
    assert error.words == "revoked"
    assert cloud.calls == ["list", "list"]
    cloud.logins = [AuthFailed("no token file")] * 5
    assert type(failure_of(Connector(cloud).list_instances)) is AuthFailed
    assert len(cloud.logins) == 3


def test_each_thread_has_a_driver_of_its_own_until_all_are_renewed() -> None:
    drivers = Drivers(object)
    with ThreadPoolExecutor(1) as other:
        mine, theirs = drivers.get(), other.submit(drivers.get).result()
        assert mine is not theirs
        assert drivers.get() is mine
        drivers.renew()
        assert drivers.get() is not mine
        assert other.submit(drivers.get).result() is not theirs


# --- listing and ending ----------------------------------------------------------------------------------------------


def test_a_listing_is_ours_alone_each_vm_once_and_dated_before_it_was_asked_for(cloud: Cloud) -> None:
    mine = cloud.add("key-1")
    cloud.add("key-1", cluster=THEIRS)
    cloud.add("key-1", cluster="")
    cloud.vms["again"] = mine
    began: list[datetime] = []
    cloud.meanwhile = lambda: began.append(datetime.now(UTC))
    listing = Connector(cloud).list_instances()
    assert listing.instances == (mine,)
    assert listing.taken_at <= began[0]


@pytest.mark.parametrize("cluster", [THEIRS, ""])
def test_a_vm_that_is_not_ours_is_not_ended(cloud: Cloud, cluster: str) -> None:
    stranger = cloud.add("key-1", cluster=cluster)
    assert type(failure_of(lambda: Connector(cloud).terminate(stranger.id))) is NotFound
    assert "destroy" not in cloud.calls


def test_a_vm_that_is_gone_already_or_goes_meanwhile_is_a_success(cloud: Cloud) -> None:
    connector = Connector(cloud)
    connector.terminate("never-was")
    connector.terminate(cloud.add("key-1", state=InstanceState.GONE).id)
    assert "destroy" not in cloud.calls
    cloud.before["destroy"] = [Refused(404, "gone")]
    connector.terminate(cloud.add("key-2").id)


def test_a_look_that_fails_before_an_end_ends_nothing(cloud: Cloud) -> None:
    made = cloud.add("key-1")
    cloud.before["read"] = [ConnectionResetError()]
    assert type(failure_of(lambda: Connector(cloud).terminate(made.id))) is Transient
    cloud.before["destroy"] = [ConnectionResetError()]
    assert type(failure_of(lambda: Connector(cloud).terminate(made.id))) is OutcomeUnknown


def test_an_error_is_no_cause_of_itself(cloud: Cloud) -> None:
    cloud.before["list"] = [Transient("passing")]
    error = failure_of(Connector(cloud).list_instances)
    assert error is not None
    assert error.__cause__ is None
    cloud.before["read"] = [ConnectionResetError("reset")]
    error = failure_of(lambda: Connector(cloud).terminate("i-0"))
    assert error is not None
    assert [type(one) for one in chain(error)] == [Transient, ConnectionResetError]


def test_every_instance_of_a_site_is_told_with_its_name(cloud: Cloud) -> None:
    cloud.add("key-1")
    listing = Connector(cloud).list_instances()
    assert (listing.site, listing.instances[0].site) == ("site", "site")
    assert replace(listing.instances[0], id="x").cluster == OURS
