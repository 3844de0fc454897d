"""The emulator makes and ends VMs as OpenNebula does.

Each test is a line of what was measured on 6.10 and 7.4. The client is the standard library's, so what is held here
is the emulator and nothing of the connector.
"""

from __future__ import annotations

import base64

import pytest

from tests.lab.opennebula import Cloud, Emulator
from tests.lab.opennebula.machine import LCM_STATES, STATES
from tests.unit.opennebula.client import (
    ACTION,
    ALLOCATE,
    AUTHORIZATION,
    INTERNAL,
    NO_EXISTS,
    Client,
)


def test_instantiate_returns_an_id_which_may_be_0(one: Client) -> None:
    assert one.make() == 0


def test_an_empty_name_is_made_of_the_template_s_and_the_id(one: Client) -> None:
    vm = one.make()
    assert one.vm(vm).findtext("NAME") == f"medium-{vm}"


def test_names_may_be_given_twice(one: Client) -> None:
    first, second = one.make(name="cpu-001"), one.make(name="cpu-001")
    assert first != second
    assert [one.vm(vm).findtext("NAME") for vm in (first, second)] == ["cpu-001", "cpu-001"]


def test_what_is_put_over_is_text_or_xml(one: Client) -> None:
    plain = one.make('CPU = 3\nMY_OWN = "a \\"b\\"" # comment\n')
    xml = one.make('<TEMPLATE><CPU>3</CPU><MY_OWN><![CDATA[a "b"]]></MY_OWN></TEMPLATE>')
    for vm in (plain, xml):
        assert one.vm(vm).findtext("TEMPLATE/CPU") == "3"
        assert one.vm(vm).findtext("USER_TEMPLATE/MY_OWN") == 'a "b"'


def test_names_become_upper_case_and_unknown_ones_go_to_user_template(one: Client) -> None:
    found = one.vm(one.make('memory = "1024"\nclues_node = "cpu-001"'))
    assert found.findtext("TEMPLATE/MEMORY") == "1024"
    assert found.findtext("USER_TEMPLATE/CLUES_NODE") == "cpu-001"
    assert found.find("TEMPLATE/CLUES_NODE") is None


def test_vectors_replace_and_do_not_merge(one: Client) -> None:
    found = one.vm(one.make('CONTEXT = [ SET_HOSTNAME = "cpu-001" ]'))
    assert found.findtext("TEMPLATE/CONTEXT/SET_HOSTNAME") == "cpu-001"
    assert found.find("TEMPLATE/CONTEXT/SSH_PUBLIC_KEY") is None
    assert found.find("TEMPLATE/CONTEXT/NETWORK") is None
    found = one.vm(one.make("NIC = [ NETWORK_ID = 1 ]\nDISK = [ IMAGE_ID = 1 ]"))
    assert [nic.findtext("NETWORK") for nic in found.findall("TEMPLATE/NIC")] == ["clues-net"]
    assert [disk.findtext("IMAGE") for disk in found.findall("TEMPLATE/DISK")] == ["clues-worker"]
    assert found.find("TEMPLATE/NIC/MODEL") is None
    assert found.find("TEMPLATE/DISK/DEV_PREFIX") is None


def test_cpu_and_memory_are_overridden(one: Client) -> None:
    found = one.vm(one.make("CPU = 1.5\nMEMORY = 512"))
    assert (found.findtext("TEMPLATE/CPU"), found.findtext("TEMPLATE/MEMORY")) == ("1.5", "512")


def test_an_unknown_template_does_not_exist(one: Client) -> None:
    assert one.refused("", template=77)[0] == NO_EXISTS


def test_a_template_that_cannot_be_parsed_is_0x2000(one: Client, cloud: Cloud) -> None:
    for text in ("CPU = [", "<TEMPLATE><CPU>", "= 3"):
        assert one.refused(text)[0] == INTERNAL
    assert cloud.alive() == 0


@pytest.mark.parametrize("extra", ['NIC = [ NETWORK_ID = 0, MAC = "02:00:00:00:00:01" ]', 'CONTEXT = [ FILES = "/x" ]'])
def test_a_restricted_attribute_is_0x200(one: Client, extra: str) -> None:
    code, words = one.refused(extra)
    assert code == AUTHORIZATION
    assert "includes a restricted attribute" in words


def test_what_the_template_restricts_has_to_be_repeated_as_it_is(one: Client, cloud: Cloud) -> None:
    filtered = 'NIC = [ NETWORK_ID = 1, FILTER_IP_SPOOFING = "YES" ]'
    assert one.refused(filtered)[0] == AUTHORIZATION
    (nic,) = cloud.templates[0].content.vectors("NIC")
    nic["FILTER_IP_SPOOFING"] = "YES"
    assert one.make(filtered) == 0
    assert one.refused("NIC = [ NETWORK_ID = 1 ]")[0] == AUTHORIZATION


def test_oneadmin_s_group_may_set_everything(emulator: Emulator) -> None:
    admin = Client(emulator.url, "oneadmin:opennebula")
    assert admin.make('NIC = [ NETWORK_ID = 0, FILTER_IP_SPOOFING = "YES" ]') == 0


@pytest.mark.parametrize(("who", "whose"), [("user", "user [2]"), ("group", "group [100]")])
@pytest.mark.parametrize(("metric", "limit"), [("VMS", 1), ("CPU", 3.5), ("MEMORY", 9000), ("RUNNING_VMS", 1)])
def test_a_quota_is_0x200_too_and_differs_by_its_words_only(
    one: Client, cloud: Cloud, who: str, whose: str, metric: str, limit: float
) -> None:
    quotas = cloud.users[2].quotas if who == "user" else cloud.groups[100].quotas
    quotas.limit(metric, limit)
    one.make()
    code, words = one.refused("")
    assert code == AUTHORIZATION
    assert f"{whose} limit of {limit:g} reached for {metric} quota in VM" in words
    assert cloud.alive() == 1


def test_the_quotas_of_addresses_and_images_name_their_id(one: Client, cloud: Cloud) -> None:
    cloud.users[2].quotas.limit("LEASES", 1, "NETWORK", "0")
    one.make()
    assert "limit of 1 reached for LEASES quota in NETWORK with ID: 0" in one.refused("")[1]
    cloud.users[2].quotas.limits.clear()
    cloud.users[2].quotas.limit("RVMS", 1, "IMAGE", "0")
    assert "limit of 1 reached for RVMS quota in IMAGE with ID: 0" in one.refused("")[1]


def test_running_quotas_are_charged_to_a_vm_on_hold_and_given_back_at_its_end(one: Client, cloud: Cloud) -> None:
    cloud.users[2].quotas.limit("RUNNING_VMS", 1)
    held = one.make(hold=True)
    assert one.state(held) == (2, 0)
    assert "RUNNING_VMS" in one.refused("")[1]
    one.end(held)
    one.make()


def test_no_free_address_a_missing_image_and_a_bad_context_are_0x4000(one: Client, cloud: Cloud) -> None:
    cloud.networks[1].size = 1
    one.make("NIC = [ NETWORK_ID = 1 ]")
    for extra, words in (
        ("NIC = [ NETWORK_ID = 1 ]", "Cannot get IP/MAC lease from virtual network 1"),
        ("NIC = [ NETWORK_ID = 9 ]", "does not exist"),
        ("DISK = [ IMAGE_ID = 99 ]", "does not exist"),
        ('DISK = [ IMAGE = "clues-worker" ]', "does not own an image"),
        ("CONTEXT = [ TOKEN = YES ]", "ONEGATE"),
    ):
        code, said = one.refused(extra)
        assert code == ALLOCATE, extra
        assert words in said
    assert cloud.alive() == 1


def test_an_address_may_be_asked_for_and_is_given_once(one: Client, cloud: Cloud) -> None:
    asked = "NIC = [ NETWORK_ID = 1, IP = 10.77.2.44 ]"
    vm = one.make(asked)
    assert one.vm(vm).findtext("TEMPLATE/NIC/IP") == "10.77.2.44"
    assert one.vm(vm).findtext("TEMPLATE/NIC/MAC") == "02:00:0a:4d:02:2c"
    assert one.refused(asked)[0] == ALLOCATE
    one.end(vm)
    one.make(asked)


def test_user_data_in_plain_text_with_dollars_quotes_and_brackets_is_refused(one: Client) -> None:
    script = '#!/bin/sh\n[ "$HOME" = x ] && echo "$NAME"\n'
    plain = f"<TEMPLATE><CONTEXT><USER_DATA><![CDATA[{script}]]></USER_DATA></CONTEXT></TEMPLATE>"
    code, words = one.refused(plain)
    assert code == ALLOCATE
    assert "arse error" in words


def test_user_data_in_base64_arrives(one: Client, cloud: Cloud) -> None:
    script = '#!/bin/sh\n[ "$HOME" = x ] && echo "it\'s $NAME"\n'
    coded = base64.b64encode(script.encode()).decode()
    vm = one.make(f'CONTEXT = [ USER_DATA = "{coded}", USER_DATA_ENCODING = base64, NETWORK = YES ]')
    seen = cloud.context_of(vm)
    assert seen["USER_DATA"] == script
    assert seen["ETH0_IP"] == "192.168.150.2"


def test_variables_in_a_context_are_put_in(one: Client, cloud: Cloud) -> None:
    vm = one.make('CONTEXT = [ SET_HOSTNAME = "$NAME" ]', name="cpu-001")
    assert cloud.context_of(vm)["SET_HOSTNAME"] == "cpu-001"


# --- capacity and states ------------------------------------------------------------------------------------------


def test_no_host_with_room_is_a_success_and_the_vm_stays_pending(one: Client, cloud: Cloud) -> None:
    cloud.room = 1
    first, second = one.make(), one.make()
    cloud.advance(steps=4)
    assert one.state(first) == (3, 3)
    assert one.state(second) == (1, 0)
    words = one.vm(second).findtext("USER_TEMPLATE/SCHED_MESSAGE", "")
    assert {"6.10.0": "No host with enough capacity", "7.4.0": "Not enough CPU on hosts"}[cloud.version] in words
    cloud.room = 2
    cloud.advance(steps=4)
    assert one.state(second) == (3, 3)
    assert one.vm(second).find("USER_TEMPLATE/SCHED_MESSAGE") is None


def test_a_vm_comes_to_run_in_these_steps(one: Client, cloud: Cloud) -> None:
    vm = one.make()
    seen = [one.state(vm)]
    for _ in range(4):
        cloud.advance()
        seen.append(one.state(vm))
    assert seen == [(1, 0), (3, 0), (3, 1), (3, 2), (3, 3)]


def test_a_running_vm_ends_in_these_steps(one: Client, cloud: Cloud) -> None:
    vm = one.make()
    cloud.advance(to="RUNNING")
    assert one.end(vm) == [True, vm, 0]
    seen = [one.state(vm)]
    for _ in range(2):
        cloud.advance()
        seen.append(one.state(vm))
    assert seen == [(3, 12), (3, 11), (6, 0)]


@pytest.mark.parametrize("state", ["LCM_INIT", "PROLOG", "BOOT"])
def test_terminate_hard_is_refused_until_a_vm_runs(one: Client, cloud: Cloud, state: str) -> None:
    vm = one.make()
    cloud.advance(to=state)
    ok, words, code, *_ = one.end(vm)
    assert (ok, code) == (False, ACTION)
    assert f"wrong state {state}" in words
    assert one.state(vm) == (3, LCM_STATES[state])


@pytest.mark.parametrize("hold", [False, True])
def test_terminate_hard_of_a_vm_that_waits_is_done_at_once(one: Client, hold: bool) -> None:
    vm = one.make(hold=hold)
    assert one.end(vm)[0] is True
    assert one.state(vm) == (6, 0)


def test_terminate_hard_of_what_is_done_is_a_success(one: Client) -> None:
    vm = one.make()
    one.end(vm)
    assert one.end(vm)[0] is True


def test_shutdown_accepts_terminate_hard_only(one: Client, cloud: Cloud) -> None:
    vm = one.make()
    cloud.advance(to="RUNNING")
    one.end(vm)
    assert one.state(vm) == (3, 12)
    assert one.fails("one.vm.action", "terminate", vm)[0] == ACTION
    assert one.end(vm)[0] is True


def test_a_cancel_that_fails_goes_silently_back_to_running(one: Client, cloud: Cloud) -> None:
    cloud.cancels_fail = 1
    vm = one.make()
    cloud.advance(to="RUNNING")
    assert one.end(vm)[0] is True
    cloud.advance()
    assert one.state(vm) == (3, 3)
    assert one.vm(vm).find("USER_TEMPLATE/ERROR") is None


def test_a_deployment_that_fails_stands_there_with_an_error_and_can_be_ended(one: Client, cloud: Cloud) -> None:
    cloud.deploys_fail = 1
    vm = one.make()
    cloud.advance(to="BOOT_FAILURE")
    assert one.state(vm) == (3, 36)
    assert one.vm(vm).findtext("USER_TEMPLATE/ERROR")
    one.end(vm)
    assert one.state(vm) == (3, 23)
    cloud.advance()
    assert one.state(vm) == (6, 0)


def test_an_error_may_stand_at_a_vm_that_runs(one: Client, cloud: Cloud) -> None:
    vm = one.make()
    cloud.advance(to="RUNNING")
    cloud.machines[vm].user_template.put("ERROR", "Could not do something")
    assert one.state(vm) == (3, 3)
    assert one.vm(vm).findtext("USER_TEMPLATE/ERROR")


@pytest.mark.parametrize(("name", "where"), [("POWEROFF", (8, 0)), ("UNKNOWN", (3, 16)), ("SUSPENDED", (5, 0))])
def test_a_vm_that_was_switched_off_or_lost_can_be_ended(
    one: Client, cloud: Cloud, name: str, where: tuple[int, int]
) -> None:
    vm = one.make()
    cloud.set_state(vm, name)
    assert one.state(vm) == where
    assert one.end(vm)[0] is True
    cloud.advance(to="DONE")


def test_what_is_done_stays_readable_and_only_unknown_ids_do_not_exist(one: Client) -> None:
    vm = one.make()
    one.end(vm)
    assert one.state(vm) == (6, 0)
    assert one.fails("one.vm.info", vm + 1)[0] == NO_EXISTS


def test_the_numbers_of_the_states_are_oned_s() -> None:
    assert [STATES[name] for name in ("INIT", "ACTIVE", "DONE", "POWEROFF", "CLONING_FAILURE")] == [0, 3, 6, 8, 11]
    assert 7 not in STATES.values()
    failures = sorted(number for name, number in LCM_STATES.items() if name.endswith("_FAILURE"))
    assert failures == [*range(36, 43), 44, *range(46, 51), 61]
    known = {"RUNNING": 3, "SHUTDOWN": 12, "CLEANUP_RESUBMIT": 15, "UNKNOWN": 16, "CLEANUP_DELETE": 23, "RESTORE": 71}
    assert {name: LCM_STATES[name] for name in known} == known
