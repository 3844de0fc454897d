"""The connector against the emulator: what no other cloud does, and the contract of all connectors cannot ask."""

from __future__ import annotations

import logging
import threading
import time
from datetime import UTC, datetime, timedelta

import pytest

from clues.errors import InvalidRequest, OutcomeUnknown, Transient
from clues.model import InstanceState, Offer
from clues.testing.connector_site import launch, launch_error, listed, the_one
from connectors.common import http
from connectors.opennebula import connector as module
from tests.lab.opennebula.cloud import VERSIONS
from tests.lab.opennebula.template import Template
from tests.unit.opennebula.emulated import Site
from tests.unit.opennebula.orders import CLUSTER, request

# --- capacity -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("site", VERSIONS, indirect=True)
def test_a_vm_for_which_there_is_no_host_is_told_as_no_capacity_in_time(site: Site) -> None:
    site.cloud.room = 0
    connector = site.connect(pending="2min")
    made = launch(connector, request())
    site.cloud.advance()
    assert the_one(connector.list_instances()).state is InstanceState.PENDING
    site.machine(made).started -= 121
    shown = the_one(connector.list_instances())
    assert (shown.state, shown.fault_code) == (InstanceState.ERROR, "no-capacity")
    assert {"6.10.0": "No host with enough capacity", "7.4.0": "Not enough CPU"}[site.cloud.version] in shown.fault
    connector.terminate(made.id)
    assert listed(connector) == ()


@pytest.mark.parametrize("skew", [-3600, 3600])
def test_a_front_end_whose_clock_is_wrong_makes_nobody_wait_longer_or_shorter(site: Site, skew: int) -> None:
    site.cloud.skew = skew
    site.cloud.room = 0
    connector = site.connect(pending="2min")
    made = launch(connector, request())
    site.cloud.advance()
    shown = the_one(connector.list_instances())
    assert shown.state is InstanceState.PENDING
    assert shown.created_at is not None
    assert abs(shown.created_at - datetime.now(UTC)) < timedelta(seconds=10)
    site.machine(made).started -= 130
    assert the_one(connector.list_instances()).state is InstanceState.ERROR


# --- ending -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["PROLOG", "BOOT"])
def test_a_vm_that_boots_is_ended_as_soon_as_it_runs(site: Site, state: str) -> None:
    connector = site.connect()
    made = launch(connector, request())
    site.cloud.advance(to=state)
    runs = threading.Timer(0.5, lambda: site.cloud.advance(to="RUNNING"))
    runs.start()
    connector.terminate(made.id)
    runs.join()
    asked = [arguments for method, arguments in site.emulator.calls if method == "one.vm.action"]
    assert len(asked) > 1
    assert site.cloud.state_of(int(made.id)) == "SHUTDOWN"


def test_a_vm_that_boots_for_long_is_left_to_the_next_try(site: Site) -> None:
    connector = site.connect(boot_patience=0.3)
    made = launch(connector, request())
    site.cloud.advance(to="BOOT")
    began = time.monotonic()
    with pytest.raises(Transient, match="wrong state BOOT"):
        connector.terminate(made.id)
    assert time.monotonic() - began < 3


def test_a_host_that_cannot_stop_a_vm_is_told(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    site.cloud.cancels_fail = 1
    connector = site.connect()
    made = launch(connector, request())
    site.cloud.advance(to="RUNNING")
    connector.terminate(made.id)
    assert the_one(connector.list_instances()).state is InstanceState.STOPPING
    site.cloud.advance()  # and silently back
    shown = the_one(connector.list_instances())
    assert shown.state is InstanceState.RUNNING
    assert "runs again" in shown.fault
    with caplog.at_level(logging.WARNING):
        connector.terminate(made.id)
    assert "could not stop it" in caplog.text
    site.cloud.advance(to="DONE")
    assert listed(connector) == ()


def test_an_end_that_is_promised_and_does_not_begin_is_told(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_SOON", 0.3)
    site.cloud.terminates_ignored = 1
    connector = site.connect()
    made = launch(connector, request())
    site.cloud.advance(to="RUNNING")
    with pytest.raises(Transient, match="promised to end"):
        connector.terminate(made.id)


@pytest.mark.parametrize("odd", ["", "x", "-1", "1 ", "\u0661", "9" * 40, "../1"])
def test_what_is_no_id_is_not_asked_for(site: Site, odd: str) -> None:
    with pytest.raises(InvalidRequest):
        site.connect().terminate(odd)
    assert site.emulator.calls == []


# --- listing ------------------------------------------------------------------------------------------------------


def test_our_own_vms_only_are_asked_for_with_their_attributes(site: Site) -> None:
    site.connect().list_instances()
    assert site.emulator.calls == [("one.vmpool.infoextended", (-3, -1, -1, -1))]


def test_a_listing_too_large_for_one_reply_is_an_error_and_then_taken_in_pieces(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    connector = site.connect()
    made = {launch(connector, request(launch_key=f"key-{n}", address=f"10.77.2.{n}")).id for n in range(10, 17)}
    connector.terminate(min(made, key=int))
    made.discard(min(made, key=int))
    monkeypatch.setattr(module, "_PIECE", 2)
    monkeypatch.setattr(http, "LARGEST_REPLY", 12_000)
    with pytest.raises(Transient, match="larger"):
        connector.list_instances()
    site.emulator.calls.clear()
    assert {one.id for one in listed(connector)} == made
    ranges = [arguments[1:3] for method, arguments in site.emulator.calls if method == "one.vmpool.infoextended"]
    assert ranges[0][0] == 0
    assert ranges[-1][1] == -1
    assert [begin for begin, _ in ranges[1:]] == [end + 1 for _, end in ranges[:-1]]
    assert len(ranges) == 3


def test_a_vm_with_an_address_of_no_kind_is_listed_without_it(site: Site) -> None:
    connector = site.connect()
    machine = site.machine(launch(connector, request()))
    machine.template.vectors("NIC")[0] |= {"IP": "dhcp", "MAC": "?"}
    shown = the_one(connector.list_instances())
    assert (shown.addresses, shown.macs) == ((), ())


# --- secrets ------------------------------------------------------------------------------------------------------


def test_the_password_is_nowhere_but_on_the_wire(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    connector = site.connect()
    with caplog.at_level(logging.DEBUG):
        launch(connector, request())
        connector.list_instances()
        connector.quota()
        site.cloud.users[2].enabled = False
        with pytest.raises(Exception, match="authenticated") as caught:
            connector.list_instances()
    driver = connector._drivers.get()
    shown = [caplog.text, repr(caught.value), repr(caught.value.__cause__), repr(driver), repr(driver.connection)]
    shown += [repr(vars(connector)), repr(driver.connection.data)]
    assert not [text for text in shown if "s3cret" in text]


def test_credentials_that_were_renewed_in_their_file_are_used_without_a_restart(site: Site) -> None:
    connector = site.connect()
    connector.list_instances()
    site.cloud.users[2].password = "another"
    site.file.write_text("clues:another\n")
    assert listed(connector) == ()


@pytest.mark.parametrize(("ends", "expected"), [(7200, True), (-1, False)])
def test_the_end_of_a_token_is_told(site: Site, ends: int, expected: bool) -> None:
    site.cloud.users[2].tokens = {"other": 5, "token": -1 if ends < 0 else int(time.time()) + ends}
    site.file.write_text("clues:token\n")
    until = site.connect().credentials_until()
    assert (until is not None) == expected
    assert until is None or abs(until - datetime.now(UTC) - timedelta(seconds=ends)) < timedelta(seconds=5)


def test_a_missing_file_of_certificates_is_told_by_its_name(site: Site) -> None:
    with pytest.raises(InvalidRequest, match=r"/nowhere/ca\.pem"):
        site.connect(ca="/nowhere/ca.pem").list_instances()


def test_no_connection_is_kept_open(site: Site) -> None:
    connector = site.connect()
    for _ in range(3):
        connector.list_instances()
    deadline = time.monotonic() + 5
    while site.emulator._server._open and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not site.emulator._server._open


# --- what it tells ------------------------------------------------------------------------------------------------


def test_flavors_are_templates_with_their_gpus(site: Site) -> None:
    site.cloud.users[4].group = site.cloud.groups[1]
    site.cloud.templates[0].owner = site.cloud.users[4]
    flavors = {one.name: one for one in site.connect(currency="EUR").flavors()}
    assert set(flavors) == {"other/medium", "gpu", "priced"}
    assert (flavors["gpu"].resources.cpus, flavors["gpu"].resources.memory_mib) == (4, 8192)
    assert flavors["gpu"].resources.gpu_count == 1
    assert flavors["priced"].resources.gpu_count == 0
    assert flavors["priced"].price_per_hour == pytest.approx(2 * 0.01 + 8192 * 0.000005)
    assert (flavors["gpu"].price_per_hour, flavors["gpu"].currency) == (None, "")


def test_costs_without_a_currency_are_no_prices(site: Site) -> None:
    offer = Offer("upv", "priced", "clues-worker")
    assert site.connect().prices([offer]) == {}
    assert all(one.price_per_hour is None for one in site.connect().flavors())
    assert site.connect(currency="EUR").prices([offer])[offer.key].currency == "EUR"


def test_the_quota_of_a_group_bounds_ours_and_leases_bound_vms(site: Site) -> None:
    site.cloud.groups[100].quotas.limit("VMS", 9)
    site.cloud.users[2].quotas.limit("LEASES", 3, "NETWORK", "1")
    connector = site.connect()
    launch(connector, request())
    quota = connector.quota()
    assert quota is not None
    assert (quota.limits.vms, quota.vms_used) == (3, 1)
    assert (quota.used.cpus, quota.used.memory_mib) == (2, 8192)


def test_a_lost_answer_makes_no_second_vm_in_another_process(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    real = site.emulator.answer

    def lossy(body: bytes) -> str:
        reply = real(body)
        return "" if b"one.template.instantiate" in body else reply

    monkeypatch.setattr(site.emulator, "answer", lossy)
    assert type(launch_error(site.connect(), request())) is OutcomeUnknown
    monkeypatch.setattr(site.emulator, "answer", real)
    launch(site.connect(), request())
    assert site.cloud.alive() == 1


def test_a_vm_of_another_user_is_never_ours_whatever_it_says(site: Site) -> None:
    tags = [("CLUES_CLUSTER", CLUSTER), ("CLUES_LAUNCH_KEY", "key-1"), ("CLUES_NODE", "cpu-001")]
    theirs = site.cloud.add_machine(site.cloud.users[3], "cpu-001", Template(list(tags)))
    theirs.mode = 0o666
    connector = site.connect()
    assert listed(connector) == ()
    assert launch(connector, request()).id != str(theirs.id)
