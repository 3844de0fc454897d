"""Two front-ends of one cluster: two sets of clues' processes with folders of their own, one Slurm, one shared folder.

Slurm has one controller here, which both reach, as they would reach whichever of two is in charge. What a floating
address does for real front-ends does the port of the enrolment front here: it is served by the one or by the other.
"""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from clues.cli.client import Client
from clues.cli.errors import CliError
from clues.places import Places
from tests.lab.frontend import wait_for
from tests.lab.processes import Processes
from tests.real.withstand_lab import Trial

#: What a second front-end is given of the first, as docs/how-to/two-front-ends.md has it.
COPIED = ("cluster-id", "ticket.key", "signer", "trust")


class Second:
    """The other front-end: its processes, and how it is asked."""

    def __init__(self, first: TwoFrontEnds) -> None:
        self.folder = first.folder / "second"
        self.folder.mkdir(exist_ok=True)
        self.state = self.folder / "state"
        self.config = self.folder / "clues.yaml"
        self.socket = first.socket.with_name(f"b-{first.socket.name}")
        self.places = Places(self.state, self.socket)
        self.client = Client(str(self.socket))
        self.daemons = Processes(self.folder, self.config, self.places, lambda: (first.front.address, first.port))

    def get(self, path: str) -> Any:
        return json.loads(self.client.get(path, []))


class TwoFrontEnds(Trial):
    """A lab cluster with a second front-end, which stands by."""

    #: longer than a busy machine keeps any process waiting
    lease = "5s"

    def __init__(self, *more: Any) -> None:
        #: what Python runs in place of the first cluesd's own module
        self.command: Sequence[str] = ()
        super().__init__(*more)
        self.shared = self.folder / "shared"
        self.second = Second(self)

    @property
    def port(self) -> int:
        return self._enrolment_port

    def document(self) -> dict[str, Any]:
        ways = {"shared": str(self.shared), "lease": self.lease, "snapshot": "2s"}
        return super().document() | {"front_ends": ways}

    def start(self, *, daemon: bool = True) -> None:
        self.shared.mkdir(mode=0o700)
        (self.shared / "lease.0").touch()
        super().start(daemon=daemon)
        second = self.second
        second.state.mkdir(parents=True)
        for name in COPIED:
            source = self.state / name
            (shutil.copytree if source.is_dir() else shutil.copy2)(source, second.state / name)
        mine = {"state": str(second.state), "socket": str(second.socket)}
        second.config.write_text(yaml.safe_dump(self.document() | mine, sort_keys=False))
        self.start_second()

    def launch_daemon(self, command: Sequence[str] = (), env: Mapping[str, str] | None = None) -> None:
        super().launch_daemon(command or self.command, env)

    def stop(self) -> None:
        self.second.daemons.stop_all(("cluesd", *reversed(self.helpers)))
        if self.plan.overlay:
            self.second.daemons.remove_rules()
        super().stop()

    def start_second(self) -> None:
        """Start the second cluesd, and wait until it answers."""
        self.second.daemons.launch("cluesd")
        self.wait_state(self.second, "standby")

    def wait_state(self, which: Any, *states: str, timeout: float = 30) -> dict[str, Any]:
        """Wait until a front-end tells one of these states; its whole status."""

        def told() -> dict[str, Any] | None:
            try:
                status: dict[str, Any] = which.get("status")
            except CliError:
                return None
            return status if status["state"] in states else None

        return wait_for(f"a front-end to be {states}", told, timeout, lambda: which.daemons.log("cluesd", 30))

    def fail_over(self, how: signal.Signals | None = signal.SIGKILL) -> None:
        """End all processes of the first front-end but cluesd, that too with *how*; the second serves its enrolment."""
        if how is not None:
            self.stop_daemon(how)
        for name in self.helpers:
            self.daemons.stop(name, signal.SIGKILL)
            self.second.daemons.launch(name)
        self.wait_state(self.second, "running", "paused")
        for name in self.helpers:
            self.second.daemons.wait(name)

    def look_at_second(self) -> None:
        """Ask the second front-end from now on: it is the active one."""
        self.client, self.state, self.places = self.second.client, self.second.state, self.second.places
