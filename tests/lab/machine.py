"""A worker machine made by hand: the least that a VM of the local connector has to be.

The idea: one process tree with its own network, UTS, mount and PID namespaces, an address on the front-end's bridge and
a slurmd that takes the node's name. Killing the one process that holds it (`pull_the_plug`) ends all of it, jobs
included.
"""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from types import TracebackType

from connectors.local.sandbox import as_slurm_user
from tests.lab.frontend import FrontEnd, LabError

# The link comes from outside once the namespaces exist: "ready" tells that they do, a line on stdin that it is there.
BOOT = """
echo ready
read -r go
hostname "$1"
ip link set lo up
ip address add "$2" dev eth0
ip link set eth0 up
shift 2
exec "$@"
"""


class Machine:
    """A machine that runs slurmd for `node` at `address` once started; its NodeAddr must have been set in Slurm."""

    def __init__(self, front: FrontEnd, node: str, address: str, slurmd_options: Sequence[str] = ()) -> None:
        self.front, self.node, self.address = front, node, address
        # With -b the boot time is now, as in a VM, not when the kernel started. Slurm computes it in whole seconds anew
        # at each registration: a node that is opened within 2 s of it can be taken for rebooted, and goes DOWN.
        self.slurmd_options = tuple(slurmd_options)
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Power on. Raises LabError."""
        front = self.front
        argv = as_slurm_user(["slurmd", "-D", *self.slurmd_options, "-N", self.node])
        words = ["unshare", "--net", "--uts", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--"]
        script = ["sh", "-e", "-c", BOOT, "boot", self.node, f"{self.address}/{front.prefix_length}"]
        with (front.folder / "log" / f"machine-{self.node}.out").open("ab") as errors:
            self._process = subprocess.Popen(
                [*words, *script, *argv],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env=front.env,
            )
        inside, out = self._process.stdin, self._process.stdout
        if inside is None or out is None or out.readline() != "ready\n":
            raise LabError(f"machine {self.node} did not start: {front.log(f'machine-{self.node}.out')}")
        link = f"v-{self.address.rpartition('.')[2]}"
        end = ["peer", "name", "eth0", "netns", str(self._process.pid)]
        subprocess.run(["ip", "link", "add", "name", link, "type", "veth", *end], check=True)
        subprocess.run(["ip", "link", "set", link, "master", front.bridge, "up"], check=True)
        inside.write("go\n")
        inside.close()

    def pull_the_plug(self) -> None:
        """Power off at once; the link goes with the namespace. Repeating it is harmless."""
        if self._process is None:
            return
        self._process.kill()
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._process = None

    def __enter__(self) -> Machine:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.pull_the_plug()
