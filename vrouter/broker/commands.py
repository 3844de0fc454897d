"""The two programs that the broker runs: ``nft`` and ``ip``. Both need CAP_NET_ADMIN and nothing else."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from ipaddress import IPv4Network

from clues.errors import Transient

#: marks the routes that are ours (a number that no routing program has, see /etc/iproute2/rt_protos)
PROTOCOL = "217"


def load(rules: str) -> None:
    """Hand rules to the kernel, all or none.

    :raises Transient: they were not taken.
    """
    _run(["nft", "-f", "-"], rules)


def has_table(name: str) -> bool:
    """Return whether a table is there.

    :raises Transient: that cannot be told.
    """
    return f"table inet {name}" in _run(["nft", "list", "tables", "inet"]).splitlines()


def routes(interface: str) -> set[str]:
    """Return our routes through an interface.

    :raises Transient: they cannot be read.
    """
    text = _run(["ip", "-4", "route", "show", "dev", interface, "proto", PROTOCOL])
    found = set()
    for line in text.splitlines():
        words = line.split()
        if words:
            found.add(str(IPv4Network(words[0])))
    return found


def change_routes(interface: str, add: Iterable[str], drop: Iterable[str]) -> None:
    """Set and take away routes through an interface; one that is there, or gone, already is no error.

    :raises Transient: one could not be set.
    """
    lines = [f"route del {one} dev {interface} proto {PROTOCOL}" for one in sorted(drop)]
    lines += [f"route replace {one} dev {interface} proto {PROTOCOL}" for one in sorted(add)]
    if not lines:
        return
    try:
        _run(["ip", "-4", "-force", "-batch", "-"], "\n".join(lines) + "\n")
    except Transient:
        if not set(add) <= routes(interface):
            raise


def _run(argv: list[str], text: str = "") -> str:
    try:
        done = subprocess.run(argv, input=text, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Transient(f"{argv[0]} cannot be run: {error}") from error
    if done.returncode:
        raise Transient(f"{argv[0]} failed: {done.stderr.strip()[:300]}")
    return done.stdout
