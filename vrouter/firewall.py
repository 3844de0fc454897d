"""What may pass between a cluster's tunnels and the front-end, as one nftables table.

The table is replaced whole, in one transaction, and touches nothing of anybody else. Who is a member stands in a
set, so an eviction is an address that is no longer there. That a member sends from its own addresses only is not
checked here but by OpenVPN, which drops a packet from a source that is not behind the tunnel it came through.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, collapse_addresses

#: where NFS is served
NFS = 2049


@dataclass(frozen=True, slots=True)
class HubRules:
    """What the table of one central point says."""

    table: str
    #: pattern of the interfaces that this cluster's tunnels end at
    interfaces: str
    #: UDP port of the central point
    port: int
    #: its own address in the overlay
    address: str
    #: tunnel addresses and ranges of all who are admitted
    members: tuple[str, ...] = ()
    #: the front-end's own ranges that members may reach
    front: tuple[str, ...] = ()
    #: ports of the front-end itself, as (protocol, first, last)
    services: tuple[tuple[str, int, int], ...] = ()
    #: who may mount what the front-end exports, wherever they are; None: it exports nothing
    mounters: tuple[str, ...] | None = None
    #: the cluster's whole range
    network: str = "0.0.0.0/0"
    #: where those who were evicted a moment ago sent from: (address, UDP port)
    banned: tuple[tuple[str, int], ...] = ()


def render(rules: HubRules) -> str:
    """Return the table for ``nft -f -``; the same rules give the same text.

    :raises ValueError: a range or an address is none.
    """
    ours = f'"{rules.interfaces}"'
    own = _ranges([rules.address, *rules.front])
    lines = [
        f"add table inet {rules.table}",
        f"delete table inet {rules.table}",
        f"table inet {rules.table} {{",
        *_set("members", "ipv4_addr; flags interval", _ranges(rules.members)),
        *_set("front", "ipv4_addr; flags interval", _ranges(rules.front)),
        *_set("own", "ipv4_addr; flags interval", own),
        *_set("banned", "ipv4_addr . inet_service", [f"{IPv4Address(a)} . {int(p)}" for a, p in sorted(rules.banned)]),
        *_set("mounters", "ipv4_addr; flags interval", _ranges(rules.mounters or ())),
        "  chain input {",
        "    type filter hook input priority filter - 5; policy accept;",
        f"    udp dport {int(rules.port)} ip saddr . udp sport @banned drop",
        *_guard_exports(rules),
        f"    iifname {ours} jump from_members",
        # A member's address comes through a tunnel or not at all.
        f'    iifname != {{ {ours}, "lo" }} ip saddr @members drop',
        "  }",
        "  chain from_members {",
        "    meta nfproto != ipv4 drop",
        "    ip saddr != @members drop",
        # Not every address of this machine is this cluster's: the hub of another one has its own.
        "    ip daddr != @own drop",
        "    ct state established,related accept",
        "    icmp type echo-request accept",
        *_accept("tcp", rules.services),
        *_accept("udp", rules.services),
        "    drop",
        "  }",
        "  chain output {",
        "    type filter hook output priority filter - 5; policy accept;",
        f"    oifname {ours} meta nfproto != ipv4 drop",
        f"    oifname {ours} ip daddr != @members drop",
        "  }",
        "  chain forward {",
        "    type filter hook forward priority filter - 5; policy accept;",
        f"    iifname {ours} jump through",
        f"    oifname {ours} jump through",
        f'    iifname != {{ {ours}, "lo" }} ip saddr @members drop',
        "  }",
        "  chain through {",
        "    meta nfproto != ipv4 drop",
        f"    iifname {ours} ip saddr != @members drop",
        f"    oifname {ours} ip daddr != @members drop",
        f"    iifname {ours} oifname {ours} accept",
        f"    iifname {ours} ip daddr @front accept",
        f"    oifname {ours} ip saddr @front accept",
        "    drop",
        "  }",
        "}",
    ]
    return "\n".join(lines) + "\n"


def removal(table: str) -> str:
    """Return what takes a table away, also when it is not there."""
    return f"add table inet {table}\ndelete table inet {table}\n"


def _ranges(texts: Iterable[str]) -> list[str]:
    return [str(one) for one in collapse_addresses(IPv4Network(text) for text in texts)]


def _set(name: str, kind: str, elements: list[str]) -> list[str]:
    inside = [f"    elements = {{ {', '.join(elements)} }}"] if elements else []
    return [f"  set {name} {{", f"    type {kind};", *inside, "  }"]


def _guard_exports(rules: HubRules) -> list[str]:
    """An export names whole ranges, and is not loaded anew for each VM that comes or goes; who in them is one of ours
    is said here, for all interfaces."""
    if rules.mounters is None:
        return []
    strangers = f'iifname != "lo" ip saddr {IPv4Network(rules.network)} ip saddr != @mounters'
    return [f"    {strangers} {protocol} dport {NFS} drop" for protocol in ("tcp", "udp")]


def _accept(protocol: str, services: Iterable[tuple[str, int, int]]) -> list[str]:
    ports = sorted({(int(first), int(last)) for kind, first, last in services if kind == protocol})
    if not ports:
        return []
    merged: list[tuple[int, int]] = []
    for first, last in ports:  # nft refuses a set whose ranges overlap
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(merged[-1][1], last))
        else:
            merged.append((first, last))
    words = ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in merged)
    return [f"    {protocol} dport {{ {words} }} accept"]
