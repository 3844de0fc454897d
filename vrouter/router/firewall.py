"""What a router lets through, as an nftables table.

The agent fills in who is a member (the sets, and one rule for each shortcut) and replaces the whole table in one step.
Membership is asked before connection tracking: who is no member any more is cut off in the middle of a connection, too.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Network, collapse_addresses

from vrouter.router.client import INTERFACE

RULES = "/etc/clues/router.nft"

#: a protocol (tcp, udp) and its ports, from the first to the last
Service = tuple[str, int, int]


def rules(*, network: str, lan: str, front: Sequence[str], services: Sequence[Service]) -> str:
    """Return the table with nobody in it.

    :param network: the cluster's whole range.
    :param lan: the range behind this router.
    :param front: addresses and ranges of the front-end; there only *services* are reached, elsewhere in *network* all.
    :raises ValueError: a range or a service is none.
    """
    ours, whole = IPv4Network(lan), IPv4Network(network)
    fronts = ", ".join(str(one) for one in collapse_addresses(IPv4Network(one) for one in front))
    to_front = [f"        ip daddr {{ {fronts} }} goto front"] if fronts else []
    sources = ", ".join(str(one) for one in collapse_addresses([whole, *(IPv4Network(one) for one in front)]))
    lines = [
        "table inet clues",
        "delete table inet clues",
        "table inet clues {",
        "    set members {",
        "        type ether_addr . ipv4_addr",
        "    }",
        "    set addresses {",
        "        type ipv4_addr",
        "    }",
        "    set listening {",
        "        type inet_service",
        "    }",
        "    chain input {",
        "        type filter hook input priority filter; policy drop;",
        '        iifname "lo" accept',
        "        ct state established,related accept",
        "        udp sport 67 udp dport 68 accept",
        "        udp sport 547 udp dport 546 accept",
        "        icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert, nd-router-advert } accept",
        '        iifname "clues-*" icmp type echo-request accept',
        "        ether saddr . ip saddr @members icmp type echo-request accept",
        '        iifname != "clues-*" udp dport @listening accept',
        "    }",
        "    chain forward {",
        "        type filter hook forward priority filter; policy drop;",
        # A site's own addresses never come out of a tunnel.
        f'        iifname "{INTERFACE}" ip saddr {{ {sources} }} ip saddr != {ours} goto inward',
        '        iifname "clues-s*" jump shortcuts',
        '        iifname "clues-*" drop',
        f'        oifname "clues-*" ip saddr {ours} ether saddr . ip saddr @members goto outward',
        "    }",
        "    chain shortcuts {",
        "    }",
        "    chain inward {",
        '        oifname != "clues-*" ip daddr @addresses accept',
        "    }",
        "    chain outward {",
        "        ct state established,related accept",
        *to_front,
        f"        ip daddr {whole} accept",
        "    }",
        "    chain front {",
        "        icmp type echo-request accept",
        *_accept("tcp", services),
        *_accept("udp", services),
        "    }",
        "}",
    ]
    return "\n".join(lines) + "\n"


def _accept(protocol: str, services: Iterable[Service]) -> list[str]:
    ports = sorted({(first, last) for kind, first, last in services if kind == protocol})
    if any(not 0 < first <= last < 65536 for first, last in ports):
        raise ValueError(f"these are no ports: {ports}")
    # One rule each, since nft refuses a set whose ranges overlap.
    return [f"        {protocol} dport {first}-{last} accept" for first, last in ports]
