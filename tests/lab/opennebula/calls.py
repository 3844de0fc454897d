"""The calls that the connector makes, each with its signature; anything else is a fault, as with oned.

A signature is a letter for each argument after the session: ``i`` an integer, ``s`` a string, ``b`` a boolean; those
after a ``|`` may be left out.
"""

from __future__ import annotations

import secrets
import xmlrpc.client
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tests.lab.opennebula.cloud import Cloud
from tests.lab.opennebula.errors import (
    ACTION,
    AUTHENTICATION,
    AUTHORIZATION,
    LOCKED,
    NO_EXISTS,
    NO_SUCH_METHOD,
    TYPE_ERROR,
    XML_RPC_API,
    OneFailure,
)
from tests.lab.opennebula.instantiate import instantiate
from tests.lab.opennebula.machine import DONE, STATES, TERMINATE, TERMINATE_HARD, Machine, name_of
from tests.lab.opennebula.objects import User, pool
from tests.lab.opennebula.quotas import Quotas

Handler = Callable[..., Any]
_TYPES = {"i": int, "s": str, "b": bool}


def call(cloud: Cloud, method: str, arguments: Sequence[Any]) -> list[Any]:
    """Return what oned answers to a call.

    :raises xmlrpc.client.Fault: there is no such method, or its arguments are others.
    """
    if method not in CALLS:
        raise xmlrpc.client.Fault(NO_SUCH_METHOD, f"Method '{method}' not defined")
    signature, handler = CALLS[method]
    _check(signature, arguments)
    cloud.catch_up()
    with cloud.lock:
        try:
            user = _authenticate(cloud, arguments[0])
            return [True, handler(cloud, user, *arguments[1:]), 0]
        except OneFailure as failure:
            # five items, not three
            return [False, f"[{method}] {failure.words}", failure.code, -1, -1]


def _check(signature: str, arguments: Sequence[Any]) -> None:
    needed, _, optional = signature.partition("|")
    letters = "s" + needed + optional
    if not 1 + len(needed) <= len(arguments) <= len(letters):
        raise xmlrpc.client.Fault(TYPE_ERROR, f"Invalid number of parameters: {len(arguments)}")
    for number, (argument, letter) in enumerate(zip(arguments, letters, strict=False)):
        if type(argument) is not _TYPES[letter]:
            raise xmlrpc.client.Fault(
                TYPE_ERROR, f"Parameter {number} is a {type(argument).__name__}, not a {_TYPES[letter].__name__}"
            )


def _authenticate(cloud: Cloud, session: str) -> User:
    name, _, secret = session.partition(":")
    for user in cloud.users.values():
        if user.name == name and user.knows(secret, cloud.now()):
            return user
    raise OneFailure(AUTHENTICATION, "User couldn't be authenticated, aborting call.")


# --- pools --------------------------------------------------------------------------------------------------------


def _visible(user: User, items: Mapping[int, Any], which: int, start: int, end: int) -> list[Any]:
    """Return what a filter and a range let through, by id.

    Below -1 the end is the size of a page, and the start its offset (oned's documentation). With -1 for the start
    there is no range at all, whatever the end is (src/pool/PoolSQL.cc).
    """
    if which < -4:
        raise OneFailure(XML_RPC_API, "Incorrect filter_flag")
    let: dict[int, Callable[[Any], bool]] = {
        -1: lambda one: one.owner is user or (one.owner.group is user.group and one.mode & 0o040),
        -2: lambda one: one.usable_by(user),
        -3: lambda one: one.owner is user,
        -4: lambda one: one.owner.group is user.group,
    }
    chosen = let.get(which) or (lambda one: one.owner.id == which and one.usable_by(user))
    found = [item for _, item in sorted(items.items()) if chosen(item)]
    if end < -1:
        return found[start : start - end]
    if start == -1:
        return found
    return [one for one in found if one.id >= start and (end == -1 or one.id <= end)]


def _in_state(machines: list[Machine], state: int) -> list[Machine]:
    if state < -2 or state > STATES["CLONING_FAILURE"]:
        raise OneFailure(XML_RPC_API, "Incorrect filter_flag, state")
    return [one for one in machines if state == -2 or (not one.done if state == -1 else one.where[0] == state)]


def _vmpool_info(cloud: Cloud, user: User, which: int, start: int, end: int, state: int, _kv: str = "") -> str:
    machines = _in_state(_visible(user, cloud.machines, which, start, end), state)
    return pool("VM_POOL", (one.short_xml() for one in machines))


def _vmpool_extended(cloud: Cloud, user: User, which: int, start: int, end: int, state: int, _kv: str = "") -> str:
    machines = _in_state(_visible(user, cloud.machines, which, start, end), state)
    if cloud.listed_twice:
        cloud.listed_twice, machines = False, machines * 2
    return pool("VM_POOL", (one.xml() for one in machines))


def _pool_of(tag: str, items: Callable[[Cloud], Mapping[int, Any]]) -> Handler:
    def handler(cloud: Cloud, user: User, which: int, start: int, end: int) -> str:
        return pool(tag, (one.xml() for one in _visible(user, items(cloud), which, start, end)))

    return handler


# --- VMs ----------------------------------------------------------------------------------------------------------


def _machine(cloud: Cloud, user: User, vm: int, right: str) -> Machine:
    machine = cloud.machines.get(vm)
    if machine is None:
        raise OneFailure(NO_EXISTS, f"Error getting virtual machine [{vm}].")
    if not machine.usable_by(user):
        raise OneFailure(AUTHORIZATION, f"User [{user.id}] : Not authorized to perform {right} VM [{vm}].")
    return machine


def _vm_info(cloud: Cloud, user: User, vm: int, _decrypt: bool = False) -> str:
    return _machine(cloud, user, vm, "USE").xml()


def _vm_action(cloud: Cloud, user: User, action: str, vm: int) -> int:
    machine = _machine(cloud, user, vm, "MANAGE")
    doors = {"terminate-hard": TERMINATE_HARD, "terminate": TERMINATE}.get(action)
    if doors is None:
        raise OneFailure(ACTION, f"Wrong action {action}")
    there = doors.get(machine.where)
    if cloud.terminates_refused and machine.where[0] != DONE:
        cloud.terminates_refused -= 1
        raise OneFailure(LOCKED, f"User [{user.id}] : MANAGE VM [{vm}] : it is locked.")
    if there is None:
        raise OneFailure(ACTION, f"Could not terminate VM {vm}, wrong state {name_of(machine.where)}.")
    if cloud.terminates_ignored and machine.where[0] != DONE:
        cloud.terminates_ignored -= 1
        return vm
    if machine.where[0] != DONE:
        machine.stuck = False
        cloud.move(machine, there)
    return vm


def _instantiate(
    cloud: Cloud, user: User, template: int, name: str, hold: bool = False, extra: str = "", _persistent: bool = False
) -> int:
    return instantiate(cloud, user, template, name, hold, extra)


# --- users --------------------------------------------------------------------------------------------------------


def _user_info(cloud: Cloud, user: User, which: int, _decrypt: bool = False) -> str:
    if which not in (-1, user.id) and user.group.id != 0:
        raise OneFailure(AUTHORIZATION, f"User [{user.id}] : Not authorized to perform INFO USER [{which}].")
    return (user if which == -1 else cloud.users[which]).xml()


def _group_info(cloud: Cloud, user: User, which: int, _decrypt: bool = False) -> str:
    if which not in (-1, user.group.id) and user.group.id != 0:
        raise OneFailure(AUTHORIZATION, f"User [{user.id}] : Not authorized to perform INFO GROUP [{which}].")
    return (user.group if which == -1 else cloud.groups[which]).xml()


def _defaults(tag: str, quotas: Callable[[Cloud], Quotas]) -> Handler:
    return lambda cloud, _user: f"<{tag}>{quotas(cloud).xml()}</{tag}>"


def _login(cloud: Cloud, user: User, name: str, token: str, seconds: int, _group: int = -1) -> str:
    if name != user.name:
        raise OneFailure(AUTHORIZATION, f"User [{user.id}] : Not authorized to perform MANAGE USER.")
    token = token or secrets.token_hex(16)
    user.tokens[token] = -1 if seconds == -1 else int(cloud.now()) + seconds
    return token


CALLS: Mapping[str, tuple[str, Handler]] = {
    "one.system.version": ("", lambda cloud, _user: cloud.version),
    "one.user.info": ("i|b", _user_info),
    "one.user.login": ("ssi|i", _login),
    "one.group.info": ("i|b", _group_info),
    "one.userquota.info": ("", _defaults("DEFAULT_USER_QUOTAS", lambda cloud: cloud.user_defaults)),
    "one.groupquota.info": ("", _defaults("DEFAULT_GROUP_QUOTAS", lambda cloud: cloud.group_defaults)),
    "one.templatepool.info": ("iii", _pool_of("VMTEMPLATE_POOL", lambda cloud: cloud.templates)),
    "one.imagepool.info": ("iii", _pool_of("IMAGE_POOL", lambda cloud: cloud.images)),
    "one.vnpool.info": ("iii", _pool_of("VNET_POOL", lambda cloud: cloud.networks)),
    "one.template.instantiate": ("is|bsb", _instantiate),
    "one.vm.info": ("i|b", _vm_info),
    "one.vm.action": ("si", _vm_action),
    "one.vmpool.info": ("iiii|s", _vmpool_info),
    "one.vmpool.infoextended": ("iiii|s", _vmpool_extended),
}
