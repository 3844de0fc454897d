"""The emulator answers as OpenNebula does: replies, pools and quotas.

Each test is a line of what was measured on 6.10 and 7.4. The client is the standard library's, so what is held here
is the emulator and nothing of the connector.
"""

from __future__ import annotations

import time
import xmlrpc.client
from typing import Any

import pytest

from tests.lab.opennebula import Cloud, Emulator
from tests.lab.opennebula.machine import STATES
from tests.lab.opennebula.template import Template
from tests.unit.opennebula.client import (
    API,
    AUTHENTICATION,
    AUTHORIZATION,
    ME,
    NO_EXISTS,
    Client,
)


def test_a_success_is_a_flag_a_value_and_a_code(one: Client, cloud: Cloud) -> None:
    assert one.raw("one.system.version") == [True, cloud.version, 0]


def test_a_failure_has_five_items(one: Client) -> None:
    ok, words, code, *rest = one.raw("one.vm.info", 99)
    assert (ok, code, rest) == (False, NO_EXISTS, [-1, -1])
    assert "virtual machine [99]" in words


@pytest.mark.parametrize(
    ("method", "arguments"),
    [
        ("one.vm.info", ("0",)),
        ("one.vm.info", ()),
        ("one.vm.info", (True,)),
        ("one.template.instantiate", (0, "n", 0, "")),
        ("one.vmpool.infoextended", (-3, -1, -1)),
        ("one.vm.action", (0, "terminate-hard")),
    ],
)
def test_a_wrong_type_or_number_of_arguments_is_a_fault(one: Client, method: str, arguments: tuple[Any, ...]) -> None:
    with pytest.raises(xmlrpc.client.Fault) as caught:
        one.raw(method, *arguments)
    assert caught.value.faultCode == -501


def test_an_unknown_method_is_a_fault(one: Client) -> None:
    with pytest.raises(xmlrpc.client.Fault) as caught:
        one.raw("one.vm.destroy", 0)
    assert caught.value.faultCode == -506


def test_a_bad_password_and_a_disabled_user_are_0x100(emulator: Emulator, one: Client, cloud: Cloud) -> None:
    assert Client(emulator.url, "clues:wrong").fails("one.user.info", -1)[0] == AUTHENTICATION
    assert Client(emulator.url, "nobody:x").fails("one.user.info", -1)[0] == AUTHENTICATION
    cloud.users[2].enabled = False
    assert one.fails("one.user.info", -1)[0] == AUTHENTICATION


def test_a_token_opens_the_door_until_it_ends(emulator: Emulator, one: Client, cloud: Cloud) -> None:
    token = one.ok("one.user.login", "clues", "", 100, -1)
    with_token = Client(emulator.url, f"clues:{token}")
    user = with_token.xml("one.user.info", -1)
    (shown,) = user.findall("LOGIN_TOKEN")
    assert shown.findtext("TOKEN") == token
    assert 90 < int(shown.findtext("EXPIRATION_TIME", "")) - time.time() <= 100
    cloud.skew = 101
    assert with_token.fails("one.user.info", -1)[0] == AUTHENTICATION


def test_another_path_is_http_404(emulator: Emulator) -> None:
    with pytest.raises(xmlrpc.client.ProtocolError) as caught:
        xmlrpc.client.ServerProxy(emulator.url + "/other").one.system.version(ME)
    assert caught.value.errcode == 404


# --- pools --------------------------------------------------------------------------------------------------------


def test_only_infoextended_tells_the_user_template(one: Client) -> None:
    one.make('CLUES_NODE = "cpu-001"')
    short, extended = (one.xml(f"one.vmpool.{name}", -3, -1, -1, -1) for name in ("info", "infoextended"))
    assert len(short.findall("VM")) == len(extended.findall("VM")) == 1
    assert list(short.find("VM/USER_TEMPLATE") or ()) == []
    assert extended.findtext("VM/USER_TEMPLATE/CLUES_NODE") == "cpu-001"


def test_the_filters_tell_whose_vms_are_listed(emulator: Emulator, one: Client, cloud: Cloud) -> None:
    mine = one.make()
    colleague = cloud.add_machine(cloud.users[3], "theirs", Template()).id
    stranger = cloud.add_machine(cloud.users[4], "foreign", Template()).id

    def ids(client: Client, which: int) -> list[int]:
        found = client.xml("one.vmpool.infoextended", which, -1, -1, -1)
        return [int(vm.findtext("ID", "")) for vm in found.findall("VM")]

    assert ids(one, -3) == [mine]
    assert ids(one, -4) == [mine, colleague]
    assert ids(one, -1) == ids(one, -2) == [mine]
    cloud.machines[colleague].mode = 0o640
    assert ids(one, -1) == ids(one, -2) == [mine, colleague]
    assert ids(Client(emulator.url, "oneadmin:opennebula"), -2) == [mine, colleague, stranger]
    assert ids(Client(emulator.url, "oneadmin:opennebula"), 4) == [stranger]
    assert one.fails("one.vmpool.infoextended", -5, -1, -1, -1)[0] == API


def test_ranges_of_ids_and_states(one: Client, cloud: Cloud) -> None:
    made = [one.make() for _ in range(5)]
    one.end(made[0])
    cloud.advance(made[1], to="RUNNING")

    def ids(start: int, end: int, state: int) -> list[int]:
        found = one.xml("one.vmpool.infoextended", -3, start, end, state)
        return [int(vm.findtext("ID", "")) for vm in found.findall("VM")]

    assert ids(-1, -1, -1) == made[1:]
    assert ids(-1, -1, -2) == made
    assert ids(-1, -1, STATES["ACTIVE"]) == [made[1]]
    assert ids(-1, -1, STATES["DONE"]) == [made[0]]
    assert ids(made[2], made[3], -1) == made[2:4]
    assert ids(made[3], -1, -1) == made[3:]
    assert ids(0, made[2], -1) == made[1:3]
    assert ids(-1, made[2], -1) == made[1:], "without a start there is no end"
    assert one.fails("one.vmpool.infoextended", -3, -1, -1, 12)[0] == API


def test_another_user_s_vm_can_neither_be_read_nor_ended(one: Client, cloud: Cloud) -> None:
    theirs = cloud.add_machine(cloud.users[4], "foreign", Template()).id
    assert one.fails("one.vm.info", theirs)[0] == AUTHORIZATION
    assert one.end(theirs)[2] == AUTHORIZATION
    assert cloud.state_of(theirs) == "RUNNING"


def test_templates_images_and_networks_are_listed_as_far_as_they_may_be_used(one: Client) -> None:
    templates = one.xml("one.templatepool.info", -2, -1, -1)
    assert [item.findtext("NAME") for item in templates] == ["medium", "gpu", "priced"]
    assert templates.findtext("VMTEMPLATE/TEMPLATE/CONTEXT/SSH_PUBLIC_KEY") == "$USER[SSH_PUBLIC_KEY]"
    assert [item.findtext("ID") for item in one.xml("one.imagepool.info", -2, -1, -1)] == ["0", "1"]
    networks = one.xml("one.vnpool.info", -2, -1, -1)
    assert [item.findtext("NAME") for item in networks] == ["default", "clues-net"]


# --- quotas -------------------------------------------------------------------------------------------------------


def test_an_unused_quota_is_empty(one: Client) -> None:
    for quota in (one.xml("one.user.info", -1), one.xml("one.group.info", -1), one.xml("one.userquota.info")):
        assert list(quota.find("VM_QUOTA") or ()) == []


def test_limits_are_numbers_or_minus_1_or_minus_2_and_cpus_fractions(one: Client, cloud: Cloud) -> None:
    cloud.users[2].quotas.limit("CPU", 12.5)
    cloud.users[2].quotas.limit("VMS", -2)
    cloud.user_defaults.limit("VMS", 7)
    one.make("CPU = 0.5")
    vm = one.xml("one.user.info", -1).find("VM_QUOTA/VM")
    assert vm is not None
    told = {item.tag: item.text for item in vm}
    assert told["CPU"] == "12.5"
    assert told["CPU_USED"] == told["RUNNING_CPU_USED"] == "0.5"
    assert (told["VMS"], told["VMS_USED"], told["MEMORY"]) == ("-2", "1", "-1")
    defaults = one.xml("one.userquota.info").find("VM_QUOTA/VM")
    assert defaults is not None
    assert (defaults.findtext("VMS"), defaults.findtext("CPU")) == ("7", "-2")


def test_minus_1_is_what_the_defaults_say(one: Client, cloud: Cloud) -> None:
    cloud.user_defaults.limit("VMS", 1)
    one.make()
    assert "limit of 1 reached for VMS quota in VM" in one.refused("")[1]
    cloud.users[2].quotas.limit("VMS", -2)
    one.make()
