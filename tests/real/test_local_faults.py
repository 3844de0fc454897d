"""A local site fails as it is told to, and only then."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from clues.errors import NoCapacity, Throttled, Transient
from clues.model import InstanceState
from clues.testing.connector_contract import OURS, find, launch, launch_error, listed, the_one
from tests.real.local_site import LocalSite, until

pytestmark = pytest.mark.real

TELL = "cat /etc/clues/facts; date +%s"


@pytest.fixture
def site(tmp_path: Path) -> Iterator[LocalSite]:
    site = LocalSite(tmp_path)
    yield site
    site.clear()


def test_boot_time_is_pending_time(tmp_path: Path) -> None:
    site = LocalSite(tmp_path, boot_time="500ms")
    connector = site.connect(OURS)
    began = time.monotonic()
    instance = launch(connector, site.request(OURS, 1, "echo here I am"))
    assert instance.state is InstanceState.PENDING
    assert "here I am" not in site.console(instance)
    until("it to run", lambda: find(connector, instance.id).state is InstanceState.RUNNING)
    assert time.monotonic() - began >= 0.5
    until("user-data to run", lambda: "here I am" in site.console(instance))
    site.clear()


def test_a_slow_boot_is_slower(site: LocalSite) -> None:
    site.faults.add("boot", "slow-boot", seconds=1000)
    connector = site.connect(OURS)
    slow, quick = (launch(connector, site.request(OURS, number)) for number in (1, 2))
    until("the second to run", lambda: find(connector, quick.id).state is InstanceState.RUNNING)
    assert find(connector, slow.id).state is InstanceState.PENDING
    connector.terminate(slow.id)


def test_one_that_never_registers_runs_without_its_user_data(site: LocalSite) -> None:
    site.faults.add("boot", "never-registers", match={"node": "node-2"})
    connector = site.connect(OURS)
    good, mute = (launch(connector, site.request(OURS, number)) for number in (1, 2))
    until("both to run", lambda: all(one.state is InstanceState.RUNNING for one in listed(connector)))
    until("the good one's user-data to end", lambda: "user-data ended" in site.console(good))
    assert site.console(mute) == ""


@pytest.mark.parametrize(
    ("fault", "facts"),
    [
        ("", "CPUS=4\nMEMORY_MIB=8192\nGPUS=a10:2\n"),
        ("wrong-gpus", "CPUS=4\nMEMORY_MIB=8192\nGPUS=a10:1\n"),
        ("wrong-memory", "CPUS=4\nMEMORY_MIB=4096\nGPUS=a10:2\n"),
    ],
)
def test_wrong_hardware_shows_in_the_facts(site: LocalSite, fault: str, facts: str) -> None:
    if fault:
        site.faults.add("boot", fault)
    instance = launch(site.connect(OURS), site.request(OURS, 1, TELL, flavor="gpu"))
    until("user-data to end", lambda: "user-data ended" in site.console(instance))
    assert site.console(instance).startswith(facts)


def test_a_wrong_clock_shows_in_the_facts(site: LocalSite) -> None:
    site.faults.add("boot", "wrong-clock", seconds=-600)
    instance = launch(site.connect(OURS), site.request(OURS, 1, TELL))
    until("user-data to end", lambda: "user-data ended" in site.console(instance))
    said = site.console(instance).split()
    assert abs(int(said[4]) - int(said[3].removeprefix("CLOCK=")) - 600) <= 5


def test_a_failing_boot_has_a_last_word(site: LocalSite) -> None:
    site.faults.add("boot", "boot-fails")
    instance = launch(site.connect(OURS), site.request(OURS, 1, "set -e; /etc/clues/start munge; echo not here"))
    until("user-data to end", lambda: "user-data ended: 1" in site.console(instance))
    assert "munge: the image is broken" in site.console(instance)
    assert "not here" not in site.console(instance)


def test_a_failure_of_power_shows_as_stopped(site: LocalSite) -> None:
    site.faults.add("boot", "vanish", seconds=0.1)
    connector = site.connect(OURS)
    instance = launch(connector, site.request(OURS, 1))
    until("it to stop", lambda: find(connector, instance.id).state is InstanceState.STOPPED)
    assert find(connector, instance.id).fault == "process ended"


def test_a_build_error_is_an_instance_in_error(site: LocalSite) -> None:
    site.faults.add("launch", "build-error")
    connector = site.connect(OURS)
    launch(connector, site.request(OURS, 1))
    instance = the_one(connector.list_instances())
    assert (instance.state, bool(instance.fault)) == (InstanceState.ERROR, True)
    connector.terminate(instance.id)
    assert find(connector, instance.id).state is InstanceState.GONE


def test_a_fault_strikes_what_it_matches_and_as_often_as_it_says(site: LocalSite) -> None:
    site.faults.add("launch", "no-capacity", times=2, match={"flavor": "gpu"})
    connector = site.connect(OURS)
    launch(connector, site.request(OURS, 1))
    for _ in range(2):
        assert type(launch_error(connector, site.request(OURS, 2, flavor="gpu"))) is NoCapacity
    launch(connector, site.request(OURS, 2, flavor="gpu"))


def test_throttling_says_how_long(site: LocalSite) -> None:
    site.faults.add("list", "throttled", seconds=7)
    with pytest.raises(Throttled) as caught:
        site.connect(OURS).list_instances()
    assert caught.value.retry_after is not None
    assert caught.value.retry_after.total_seconds() == 7


def test_a_truncated_listing_is_an_error_but_a_lying_one_is_not(site: LocalSite) -> None:
    connector = site.connect(OURS)
    kept, hidden = (launch(connector, site.request(OURS, number)) for number in (1, 2))
    site.faults.add("list", "truncated")
    site.faults.add("list", "lies", match={"node": hidden.node})
    with pytest.raises(Transient):
        connector.list_instances()
    assert [one.id for one in listed(connector)] == [kept.id]
    assert {one.id for one in listed(connector)} == {kept.id, hidden.id}


def test_what_the_site_lets_vanish_is_gone(site: LocalSite) -> None:
    connector = site.connect(OURS)
    kept, lost = (launch(connector, site.request(OURS, number)) for number in (1, 2))
    process = site.process(lost)
    site.faults.add("list", "vanish", match={"node": lost.node})
    states = {one.id: one.state for one in listed(connector)}
    assert states[lost.id] is InstanceState.GONE
    assert states[kept.id] is not InstanceState.GONE
    assert not process.lives()


def test_calls_hang_and_have_latency_and_are_logged(tmp_path: Path) -> None:
    site = LocalSite(tmp_path, latency="100ms")
    connector = site.connect(OURS)
    site.faults.add("list", "hang", seconds=0.4)
    before = time.time()
    connector.list_instances()
    launch(connector, replace(site.request(OURS, 1), launch_key="the-key"))
    lines = connector.calls.read()
    assert [line.get("call") or line.get("answer") for line in lines] == ["list", "list", "launch", "launch"]
    assert lines[1]["seconds"] >= 0.5
    assert lines[2]["keys"] == ["the-key"]
    assert lines[2]["nodes"] == ["node-1"]
    assert before + 0.5 <= lines[2]["at"] <= lines[3]["at"] - 0.1
    assert lines[3]["outcome"] == ["ok"]
    site.clear()
