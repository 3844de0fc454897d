"""An internet in the sandbox: one public segment, and sites behind NAT that only reach it outwards.

The idea: what the overlay has to cross is made of the kernel's own parts. Each site has a namespace for its gateway,
with a bridge for the site's machines and one public address; nftables there masquerades what goes out, and lets in
only what is forwarded, as a home router or a cloud's gateway does. Nobody in the public segment knows a private range.

    Internet("net0")  198.51.100.0/24
      |-- cesnet  198.51.100.10   lan0 10.77.0.254/23 -- bridge clues0 of the front-end (connect)
      `-- upv     198.51.100.20   lan0 10.77.2.1/24   -- VMs
"""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from ipaddress import IPv4Interface, IPv4Network
from pathlib import Path

from tests.lab.frontend import LabError

#: Where `ip netns` keeps its names.
NAMED = Path("/run/netns")
#: The bridge of a site's machines, in the namespace of its gateway.
LAN = "lan0"
_WAN = "wan0"


@dataclass(frozen=True, slots=True)
class Counted:
    """Bytes that went through a site's public leg since it was made, as the site sees them."""

    received: int
    sent: int


class Internet:
    """The public segment and what hangs on it. A context manager: at the end its namespaces are gone."""

    def __init__(self, name: str = "internet", network: str = "198.51.100.0/24") -> None:
        self.name, self.network = name, IPv4Network(network)
        self._bridge = "net0"
        self._legs: dict[str, str] = {}
        self._made = ExitStack()

    def __enter__(self) -> Internet:
        self._namespace(self.name)
        batch(self.name, f"link add {self._bridge} type bridge", f"link set {self._bridge} up")
        return self

    def __exit__(self, *_: object) -> None:
        self._made.close()
        self._legs.clear()

    def host(self, name: str, address: str) -> str:
        """Make a machine with a public address; its namespace has the name. Return the name."""
        self._namespace(name)
        leg = f"leg{len(self._legs)}"
        width = self.network.prefixlen
        batch(
            self.name,
            f"link add {leg} type veth peer name {_WAN} netns {name}",
            f"link set {leg} master {self._bridge} up",
        )
        batch(name, f"addr add {address}/{width} dev {_WAN}", f"link set {_WAN} up")
        self._legs[name] = leg
        return name

    def site(
        self,
        name: str,
        *,
        lan: str,
        gateway: str,
        public: str,
        forwards: Mapping[tuple[str, int], str] | None = None,
    ) -> str:
        """Make the gateway of a site: a namespace with the bridge :data:`LAN`, and NAT to the public address.

        :param forwards: (protocol, port) of the public address, and where it leads: ``address`` or ``address:port``.
        """
        self.host(name, public)
        width = IPv4Network(lan).prefixlen
        address = IPv4Interface(f"{gateway}/{width}")
        hardware = ":".join(f"{byte:02x}" for byte in (0x02, 0x00, *address.ip.packed))
        batch(
            name,
            f"link add {LAN} address {hardware} type bridge",
            f"addr add {address} dev {LAN}",
            f"link set {LAN} up",
        )
        self.run(name, ["sysctl", "-qw", "net.ipv4.ip_forward=1"])
        self.forward(name, forwards or {})
        return name

    def forward(self, name: str, forwards: Mapping[tuple[str, int], str]) -> None:
        """Set what a site's gateway lets in from the internet; what was forwarded before is not any more."""
        into = "\n".join(
            f'    iifname "{_WAN}" {protocol} dport {port} dnat to {target}'
            for (protocol, port), target in forwards.items()
        )
        rules = f"""
table ip site
delete table ip site
table ip site {{
  chain into {{
    type nat hook prerouting priority dstnat; policy accept;
{into}
  }}
  chain out {{
    type nat hook postrouting priority srcnat; policy accept;
    oifname "{_WAN}" masquerade
  }}
  chain through {{
    type filter hook forward priority filter; policy drop;
    ct state established,related accept
    ct status dnat accept
    iifname "{LAN}" accept
  }}
}}
"""
        self.run(name, ["nft", "-f", "-"], text=rules)

    def connect(self, name: str, bridge: str, via: str) -> None:
        """Lay a cable from a site's machines to a bridge of this namespace, and route the internet through *via*."""
        cable = f"up-{name}"[:15]
        batch(name, f"link add front0 type veth peer name {cable} netns {_own_process()}")
        batch(name, f"link set front0 master {LAN} up")
        here(f"link set {cable} master {bridge} up", f"route replace {self.network} via {via}")
        self._made.callback(here, f"route del {self.network} via {via}", check=False)
        self._made.callback(here, f"link del {cable}", check=False)

    def cut(self, name: str) -> None:
        """Pull the site's (or host's) cable out of the internet."""
        batch(self.name, f"link set {self._legs[name]} down")

    def mend(self, name: str) -> None:
        """Plug it in again."""
        batch(self.name, f"link set {self._legs[name]} up")

    def counted(self, name: str) -> Counted:
        """Return the bytes of a site's public leg."""
        folder = f"/sys/class/net/{self._legs[name]}/statistics"
        # sysfs shows the network namespace of whoever mounted it
        words = ["unshare", "--mount", "sh", "-c", f"mount -t sysfs x /sys && cat {folder}/tx_bytes {folder}/rx_bytes"]
        received, sent = self.run(self.name, words).split()
        return Counted(int(received), int(sent))

    def run(
        self, namespace: str, argv: Sequence[str], *, text: str | None = None, check: bool = True, timeout: float = 20
    ) -> str:
        """Run a command in a namespace; what it printed.

        :raises LabError: it failed, with *check*.
        """
        return run_in(namespace, argv, text=text, check=check, timeout=timeout)

    def _namespace(self, name: str) -> None:
        done = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True)
        if done.returncode:
            raise LabError(f"namespace {name} cannot be made: {done.stderr.strip()}")
        self._made.callback(subprocess.run, ["ip", "netns", "delete", name], capture_output=True)
        batch(name, "link set lo up")


def in_namespace(namespace: str, argv: Sequence[str]) -> list[str]:
    """Return the command that runs *argv* in a named network namespace; it becomes the program."""
    return ["nsenter", f"--net={NAMED / namespace}", "--", *argv]


def run_in(
    namespace: str, argv: Sequence[str], *, text: str | None = None, check: bool = True, timeout: float = 20
) -> str:
    """Run a command in a named network namespace; what it printed.

    :raises LabError: it failed, with *check*.
    """
    done = subprocess.run(in_namespace(namespace, argv), input=text, capture_output=True, text=True, timeout=timeout)
    if check and done.returncode:
        raise LabError(f"{' '.join(argv)} in {namespace}: {(done.stderr or done.stdout).strip()}")
    return done.stdout


def batch(namespace: str, *commands: str) -> None:
    """Run commands of `ip` in a named namespace, in one process; they stop at the first that fails.

    :raises LabError: one failed.
    """
    run_in(namespace, ["ip", "-batch", "-"], text="\n".join(commands) + "\n")


def here(*commands: str, check: bool = True) -> None:
    """Run commands of `ip` in this namespace.

    :raises LabError: one failed, with *check*.
    """
    done = subprocess.run(["ip", "-batch", "-"], input="\n".join(commands) + "\n", capture_output=True, text=True)
    if check and done.returncode:
        raise LabError(f"{'; '.join(commands)}: {done.stderr.strip()}")


def _own_process() -> str:
    return f"/proc/{Path('/proc/self').readlink()}/ns/net"
