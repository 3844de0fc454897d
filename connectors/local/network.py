"""The site's switch: a bridge with a veth cable to each VM, in the network namespace of the site.

That is the one of whoever launches VMs, where the front-end stands on the same bridge and a VM reaches it without a
router; or one that `ip netns` knows by name, where somebody else has made a way out. The VM's init plugs the cable in
(``vm/init.sh``); here the bridge is made if nobody else did, and a cable is pulled out when its VM is terminated. The
kernel would do that too, but some time after the last process has ended, and the next VM may have the same address.
"""

from __future__ import annotations

import hashlib
import re
import socket
import subprocess
import time
from ipaddress import IPv4Address, IPv4Interface
from pathlib import Path

from clues.errors import InvalidRequest, Transient

_OURS = re.compile(r"cv[0-9a-f]{12}")
_TIMEOUT = 10.0
#: Where `ip netns` keeps its names.
_NAMED = Path("/run/netns")


def cable_name(vm_folder: Path) -> str:
    """Return the name of the host's end of a VM's cable (Linux allows 15 characters)."""
    return "cv" + hashlib.sha256(str(vm_folder).encode()).hexdigest()[:12]


def hardware_address(address: IPv4Address) -> str:
    """Return the VM's hardware address, which depends on its address alone; locally administered."""
    return ":".join(f"{byte:02x}" for byte in (0x02, 0x00, *address.packed))


def namespace_file(name: str) -> Path:
    """Return what stands for a network namespace of `ip netns`; for the empty name, our own."""
    return _NAMED / name if name else Path("/proc/self/ns/net")


def exists(link: str, namespace: str = "") -> bool:
    """Return whether there is such a link in the network namespace."""
    if namespace:
        return _ip("link", "show", "dev", link, namespace=namespace).returncode == 0
    try:
        socket.if_nametoindex(link)
    except OSError:
        return False
    return True


def ensure_bridge(name: str, gateway: IPv4Interface, namespace: str = "") -> None:
    """Make the bridge with its address, unless it is there.

    :raises InvalidRequest: it cannot be made, or is there without that address: we change no link that is not ours.
    """
    if not namespace_file(namespace).exists():
        raise InvalidRequest(f"there is no network namespace {namespace}: make it with `ip netns add {namespace}`")
    if exists(name, namespace) and _is_here(gateway.ip, namespace):
        return
    if not exists(name, namespace):
        # A fixed hardware address, or it would change with the ports. If somebody else is quicker, theirs is used.
        words = ["link", "add", name, "address", hardware_address(gateway.ip), "type", "bridge"]
        made = _ip(*words, namespace=namespace)
        if made.returncode == 0:
            for words in (["addr", "add", str(gateway), "dev", name], ["link", "set", name, "up"]):
                done = _ip(*words, namespace=namespace)
                if done.returncode:
                    raise InvalidRequest(f"bridge {name} cannot be set up", words=done.stderr.strip())
        elif not exists(name, namespace):
            raise InvalidRequest(f"bridge {name} cannot be made", words=made.stderr.strip())
    deadline = time.monotonic() + 2
    while not _is_here(gateway.ip, namespace):
        if time.monotonic() > deadline:
            raise InvalidRequest(f"there is a link {name}, but it has not the address {gateway}: name another bridge")
        time.sleep(0.02)


def remove_cable(name: str, namespace: str = "") -> None:
    """Pull out a VM's cable; one that is gone already is no error.

    :raises Transient: it is still there.
    """
    if not _OURS.fullmatch(name):
        raise ValueError(f"{name} is no cable of a VM")
    if exists(name, namespace):
        done = _ip("link", "delete", name, namespace=namespace)
        if done.returncode and exists(name, namespace):
            raise Transient(f"the cable {name} cannot be pulled out", words=done.stderr.strip())


def _is_here(address: IPv4Address, namespace: str) -> bool:
    """Return whether *address* is one of the network namespace."""
    if namespace:
        return bool(_ip("-oneline", "address", "show", "to", str(address), namespace=namespace).stdout.strip())
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((str(address), 0))
        except OSError:
            return False
    return True


def _ip(*words: str, namespace: str = "") -> subprocess.CompletedProcess[str]:
    where = ["-netns", namespace] if namespace else []
    return subprocess.run(["ip", *where, *words], capture_output=True, text=True, check=False, timeout=_TIMEOUT)
