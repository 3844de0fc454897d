"""What a VM finds on its disk when it boots: the image, and the hardware that it is told it has.

The VM shares the machine's programs (``/usr``), and folders of the front-end, as over NFS: ``/home``, or what the
site's configuration names. What a machine must have for itself lies in the VM's folder and is mounted over the
machine's: ``/etc``, ``/root``, ``/tmp``, ``/var/lib``, ``/var/log``, ``/var/spool``; ``/run`` is a tmpfs. The accounts
are the front-end's, or those that the site's configuration names; where there is no user 1000, as whom Slurm and jobs
run where a VM's root is a fake one, it is `clues`.

Three things in ``/etc`` are clues' own, and any image may have them: ``/etc/clues/facts`` states hardware that the
kernel would not tell, ``/etc/clues/start`` starts a service where there is no service manager, ``/etc/clues/power-off``
ends the VM from inside.

The folder is made under another name and renamed: a VM's folder is complete, or not there.
"""

from __future__ import annotations

import errno
import os
import secrets
import shlex
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface
from pathlib import Path

from clues.model import Resources
from connectors.local.network import cable_name, hardware_address

#: The scripts and tables that make up the image.
FILES = Path(__file__).resolve().parent / "vm"

#: Folders of each VM's own, by the path at which it sees them.
OWN = ("etc", "root", "tmp", "var/lib", "var/log", "var/spool", "var/tmp")

#: Of the machine's /etc, what programs in /usr do not run without (Debian's links to slurmd and awk, what su may do).
SHARED_ETC = ("alternatives", "ld.so.cache", "openmpi", "pam.d", "security", "ssl")

_ACCOUNTS = {"passwd": "clues:x:1000:1000:jobs:/home/clues:/bin/sh\n", "group": "clues:x:1000:\n"}
_BROKEN_START = '#!/bin/sh\necho "start: $1: the image is broken" >&2\nexit 1\n'


@dataclass(frozen=True, slots=True)
class Hardware:
    """One VM as the site decided to make it, faults included."""

    name: str
    address: IPv4Address
    gateway: IPv4Interface
    bridge: str
    #: pretended, for ``/etc/clues/facts``
    resources: Resources
    #: seconds from power-on to user-data
    boot_seconds: float = 0.0
    #: its power fails so long after its user-data has ended; 0: it does not
    life_seconds: float = 0.0
    #: its clock is off by so much
    clock_seconds: float = 0.0
    runs_user_data: bool = True
    services_work: bool = True
    #: folders of the front-end that it sees at the same paths
    shared: tuple[Path, ...] = ()
    #: folder with the image's ``passwd`` and ``group``
    accounts: Path = Path("/etc")


def prepare(folder: Path, hardware: Hardware, *, room: str, now: float) -> None:
    """Make the folder of a VM, unless it is there. *room* names the PID namespace; *now* is wall time."""
    if folder.exists():
        return
    new = folder.with_name(f".{folder.name}.{os.getpid()}.{secrets.token_hex(4)}")
    new.mkdir(mode=0o700)
    try:
        for own in OWN:
            (new / own).mkdir(parents=True)
        for public in ("tmp", "var/tmp"):
            (new / public).chmod(0o1777)
        (new / "root").chmod(0o700)
        _write_etc(new / "etc", hardware, now)
        (new / "fstab").write_text(_fstab(new, hardware.shared), encoding="utf-8")
        (new / "hardware").write_text(_settings(folder, hardware, room), encoding="utf-8")
        try:
            new.rename(folder)
        except OSError as error:
            if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
                raise
            shutil.rmtree(new)  # somebody else was quicker, with the same record
    except BaseException:
        shutil.rmtree(new, ignore_errors=True)
        raise


def _write_etc(etc: Path, hardware: Hardware, now: float) -> None:
    for name, account in _ACCOUNTS.items():
        text = (hardware.accounts / name).read_text(encoding="utf-8")
        known = any(line.split(":")[2:3] == ["1000"] for line in text.splitlines())
        (etc / name).write_text(text if known else text + account, encoding="utf-8")
    shutil.copyfile(FILES / "nsswitch.conf", etc / "nsswitch.conf")
    for name in ("clues", "default", "munge", "slurm"):
        (etc / name).mkdir()
    (etc / "hostname").write_text(f"{hardware.name}\n", encoding="utf-8")
    (etc / "hosts").write_text(f"127.0.0.1 localhost\n{hardware.address} {hardware.name}\n", encoding="utf-8")
    (etc / "resolv.conf").touch()
    (etc / "clues" / "facts").write_text(facts(hardware, now), encoding="utf-8")
    start = etc / "clues" / "start"
    if hardware.services_work:
        shutil.copyfile(FILES / "start.sh", start)
    else:
        start.write_text(_BROKEN_START, encoding="utf-8")
    start.chmod(0o755)
    shutil.copyfile(FILES / "power-off.sh", etc / "clues" / "power-off")
    (etc / "clues" / "power-off").chmod(0o755)


def facts(hardware: Hardware, now: float) -> str:
    """Return ``/etc/clues/facts``."""
    gpus = ",".join(f"{gpu.type}:{gpu.count}" for gpu in hardware.resources.gpus)
    lines: dict[str, object] = {
        "CPUS": hardware.resources.cpus,
        "MEMORY_MIB": hardware.resources.memory_mib,
        "GPUS": gpus,
    }
    if hardware.clock_seconds:
        lines["CLOCK"] = int(now + hardware.clock_seconds)
    return "".join(f"{name}={value}\n" for name, value in lines.items())


def _fstab(folder: Path, shared: tuple[Path, ...]) -> str:
    """Return the mounts of a VM, with the places for them made; its folder is at ``/mnt`` while they are made.

    What is shared is put into the VM's own folders first, since the path to it is covered afterwards. The sources
    without a path have odd names on purpose: `mount --all` leaves out what it finds mounted already, and the place that
    the VM is started in has a tmpfs and a proc of its own.
    """
    lines = []
    for path in (*(Path("/etc", name) for name in SHARED_ETC), *shared):
        if not path.exists() or not any(path.is_relative_to(f"/{own}") for own in OWN):
            continue  # not covered: it is seen as it is
        spot = folder / path.relative_to("/")
        if path.is_dir():
            spot.mkdir(parents=True, exist_ok=True)
        else:
            spot.touch()
        lines.append(f"{_escape(path)} /mnt{_escape(path)} none rbind")
    lines += [f"/mnt/{own} /{own} none rbind" for own in OWN]
    lines += ["vm-run /run tmpfs mode=755,nosuid,nodev", "vm-proc /proc proc nosuid,nodev,noexec"]
    return "\n".join(lines) + "\n"


def _escape(path: Path) -> str:
    """Return a path as fstab(5) wants it."""
    return "".join(f"\\{ord(one):03o}" if one in " \t\n\\#" else one for one in str(path))


def _settings(folder: Path, hardware: Hardware, room: str) -> str:
    """Return what the VM's init reads before anything else."""
    values: Mapping[str, object] = {
        "NAME": hardware.name,
        "LINK": cable_name(folder),
        "BRIDGE": hardware.bridge,
        "MAC": hardware_address(hardware.address),
        "ADDRESS": hardware.address,
        "PREFIX": hardware.gateway.network.prefixlen,
        "GATEWAY": hardware.gateway.ip,
        "ROOM": room,
        "BOOT_SECONDS": f"{hardware.boot_seconds:g}",
        "LIFE_SECONDS": f"{hardware.life_seconds:g}",
        "REGISTERS": int(hardware.runs_user_data),
    }
    return "".join(f"{name}={shlex.quote(str(value))}\n" for name, value in values.items())
