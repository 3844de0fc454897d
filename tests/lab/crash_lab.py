"""A lab cluster whose daemon is killed again and again, and what must be true all the same.

Three things are looked at. *Never two VMs for one node*: a thread looks at the VMs' processes, every 50 ms, from the
first job to the last. *Convergence*: whatever ledger and world disagree about (see :meth:`CrashLab.differences`) when
the daemon starts, or come to disagree about later, is settled within :data:`MOST_TICKS` ticks. *Nothing is lost or
left*: at the end every job has completed, no VM lives, no claim is live and no node is open.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Collection, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from clues.cli.errors import CliError
from clues.config import load
from clues.model import Claim, ClaimState, Settings
from clues.registry import find_plugins
from connectors.local.machine import process_of
from connectors.local.store import Store
from tests.lab import crashing_daemon
from tests.lab.cluster import Cluster, Plan
from tests.lab.frontend import LabError, wait_for

#: So many ticks after its start, or after it began, each disagreement of ledger and world is settled.
MOST_TICKS = 10

#: The claim of a living VM is in one of these, or is being ended.
_HAS_VM = {ClaimState.BOOTING, ClaimState.JOINING, ClaimState.READY, ClaimState.DRAINING}

QUICK = Plan(
    idle="1s",
    pool={"boot_deadline": "60s", "join_deadline": "60s"},
    pace={
        "vanished_after": "1s",
        "retry_offer": "1s",
        "retry_offer_longest": "1s",
        "quarantine": "2s",
        "listing": "1s",
    },
    site={"show_ended": "2s"},
)


#: The reason of an admin who takes a node out of service.
ADMIN = "maintenance"


class Watch:
    """Looks at the living VMs of all sites; remembers every moment at which a node had two."""

    def __init__(self, folders: Iterable[Path], own: Callable[[str], bool] = lambda _: True) -> None:
        """:param own: whether a cluster's tag is to be watched (a site may have VMs of others)."""
        self._stores = [Store(folder) for folder in folders]
        self._own = own
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch")
        self.doubles: list[str] = []
        self.looks = 0
        #: instance ids that were seen alive
        self.seen: set[str] = set()

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ended.wait(0.05):
            self.look()

    def look(self) -> None:
        """Look once."""
        by_node: dict[str, list[tuple[str, Callable[[], bool]]]] = {}
        for store in self._stores:
            for one in store.living():
                record = store.read(one.id)
                if record is not None and self._own(record.cluster):
                    by_node.setdefault(record.node, []).append((one.id, one.process.lives))
                    self.seen.add(one.id)
        for node, found in by_node.items():
            # asked again from the first: those that live now did live together
            alive = [name for name, lives in found if lives()] if len(found) > 1 else []
            if len(alive) > 1:
                self.doubles.append(f"{node}: {', '.join(alive)} at {time.time():.3f}")
        self.looks += 1


class CrashLab(Cluster):
    """A cluster with the daemon of :mod:`tests.lab.crashing_daemon`, quick enough to be killed often."""

    def __init__(self, folder: Path, plan: Plan = QUICK) -> None:
        super().__init__(folder, plan)
        self.jobs: list[int] = []
        self.deaths = 0
        self.slowest = 0  # the most ticks that a disagreement lasted
        self._converged = True
        #: disagreements that there were at the last look, and the tick at which each was first seen
        self._apart: dict[str, int] = {}
        self._release = self.home / "release"
        #: VMs of other clusters at our sites, as ``site/id``
        self.strangers: set[str] = set()

    def use_fragment(self) -> None:
        super().use_fragment()
        # so long a node counts as powering down; the last word counts
        self.front.nodes_conf += "\nSuspendTimeout=1\n"

    # --- the daemon ---

    def begin(self, *points: str) -> None:
        """Arm the daemon, which runs or is started, once no offer is left alone for what happened before."""
        wait_for("all offers to be tried again", lambda: not self._open_breakers() or None, 10, self._open_breakers)
        crashing_daemon.arm(self.folder, points)
        self.jobs = []
        self._release.unlink(missing_ok=True)

    def _open_breakers(self) -> list[str]:
        ledger = self.ledger()
        try:
            breakers = ledger.memory().breakers.values()
        finally:
            ledger.close()
        return [one.key for one in breakers if one.until > datetime.now(UTC)]

    def wake(self) -> None:
        """Start the daemon without waiting for it; from now on it has to converge."""
        self.launch_daemon(crashing_daemon.COMMAND)
        self._converged = False
        self._apart = {}

    def kill_daemon(self) -> None:
        """kill -9, whatever it is doing."""
        self.stop_daemon(signal.SIGKILL)
        self.deaths += 1

    def attend(self) -> None:
        """Wake the daemon if it died at a point; else see what ledger and world disagree about, and for how long.

        :raises AssertionError: it had its ticks to settle something and did not.
        :raises LabError: it ended otherwise than by its own hand.
        """
        if self.daemon_ended:
            code = self.stop_daemon()
            if code != -signal.SIGKILL:
                raise LabError(f"cluesd ended by itself ({code}):\n{self.daemon_log()}")
            self.deaths += 1
            self.wake()
            return
        try:
            tick = int(self.get("version")["tick"])
            if not tick:
                return
            now = self.differences()
        except CliError:
            return  # not there yet, or dead at this very moment
        # what is there at the first look after a start counts from the start
        self._apart = {text: self._apart.get(text, tick if self._converged else 0) for text in now}
        self._converged = self._converged or not now
        for text, first in self._apart.items():
            self.slowest = max(self.slowest, tick - first)
            assert tick - first <= MOST_TICKS, f"for {tick - first} ticks: {text}\n{self.daemon_log()}"

    def pass_points(self, timeout: float = 60.0) -> None:
        """Wake the daemon until it has died at every armed point.

        Nothing else is looked at: it is for scenarios in which the daemon is kept from seeing what there is.
        """

        def passed() -> bool | None:
            if not self.daemon_ended:
                return None
            self.attend()
            return True if not crashing_daemon.armed(self.folder) else None

        wait_for("the daemon to come by its points", passed, timeout, self.plight)

    def until(self, what: str, done: Callable[[], bool], timeout: float = 60.0) -> None:
        """Attend to the daemon until *done* and converged."""
        deadline = time.monotonic() + timeout
        while True:
            self.attend()
            if self._converged and not self._apart and not self.daemon_ended and done():
                return
            if time.monotonic() > deadline:
                raise LabError(f"waited {timeout:g} s for {what}: {self.plight()}\n{self.daemon_log(60)}")
            time.sleep(0.1)

    # --- what must be true ---

    def differences(self) -> list[str]:
        """Return where ledger and world disagree at this moment; empty when they agree.

        A claim that is closed while its VM lives is a failure at once. Else they agree when

        - every VM that lives has a live claim which knows it by its id, and is not merely to be ended;
        - every claim that is past its launch and before its end has a VM that lives, or one that the site is about to
          make (it holds to a VM for 10 s whose making was cut short: the lab's site dies with the daemon that uses it);
        - no claim is between two things that only the daemon can bring together: none is ``launching`` (asked for,
          not known whether it came) or ``failed`` (not known whether anything is left), and none is ``stopping`` while
          its VM lives;
        - no node stands open without a claim that is ``ready`` or on its way out of that.
        """
        everything = self.claims()
        claims = {claim.key: claim for claim in everything if claim.live}
        living = self.living()  # after the claims: what was closed by then has to be dead by now
        closed = [_vm(claim) for claim in everything if not claim.live and _vm(claim) in living]
        assert not closed, f"the claims of these VMs were closed, and they live: {closed}\n{self.daemon_log()}"
        apart = [f"VM {name} lives and no claim knows it" for name in living if name not in map(_vm, claims.values())]
        for claim in claims.values():
            if claim.state in (ClaimState.LAUNCHING, ClaimState.FAILED):
                apart.append(f"{claim.key} is {claim.state}")
            elif claim.state in _HAS_VM and _vm(claim) not in living and not self._being_made(claim):
                apart.append(f"{claim.key} is {claim.state}, and its VM {_vm(claim)} does not live")
            elif claim.state is ClaimState.STOPPING and _vm(claim) in living:
                apart.append(f"{claim.key} is stopping, and its VM {_vm(claim)} lives")
        serving = {claim.node for claim in claims.values() if claim.state in (ClaimState.READY, ClaimState.DRAINING)}
        for name, node in self.nodes().items():
            if name not in serving and not {"DRAIN", "DOWN"} & set(node["slurm"]):
                apart.append(f"{name} is open without a VM")
        return apart

    def _being_made(self, claim: Claim) -> bool:
        store = Store(self.folder / "sites" / claim.offer.site)
        record = store.read(claim.instance_id) if claim.instance_id else None
        if record is None or not record.live or record.fault or process_of(store.vm_folder(record.id)) is not None:
            return False
        return datetime.now(UTC) - record.created_at < timedelta(seconds=12)

    def finish(self, timeout: float = 120.0) -> None:
        """Let the jobs end and the cluster become empty, and check that nothing was lost or left."""
        self._release.touch()
        self.until("the jobs to complete", lambda: self.unfinished() == [], timeout)
        self.until("the cluster to be empty", lambda: not self.left(), timeout)
        missed = crashing_daemon.armed(self.folder)
        assert missed == [], f"the daemon never came by {missed}\n{self.daemon_log(60)}"
        assert self.defects() == []

    def living(self) -> list[str]:
        return [name for name in super().living() if name not in self.strangers]

    def defects(self) -> list[str]:
        """Return what the daemon's log has of errors that nobody foresaw."""
        lines = (self.folder / "cluesd.log").read_text(errors="replace").splitlines()
        return [line for line in lines if "Traceback" in line or "not foreseen" in line or "step of the daemon" in line]

    def left(self) -> list[str]:
        """Return what is not over yet: VMs that live, claims that are live."""
        return self.living() + [f"{claim.key} {claim.state}" for claim in self.claims() if claim.live]

    def plight(self) -> str:
        """Return in words how things stand, for a failure's message."""
        jobs = {job: self.front.job_state(job) for job in self.unfinished()}
        claims = [f"{one.key} {one.state} ({one.reason})" for one in self.claims() if one.live]
        points = crashing_daemon.armed(self.folder)
        return f"jobs {jobs}, VMs {self.living()}, claims {claims}, still armed {points}"

    def make_good(self) -> None:
        """Undo what a scenario did to the world, also when it failed: faults, and nodes that an admin holds.

        A node that an admin gives back stands open for a moment, though it has no VM; a job that comes by then is put
        there and waits for Slurm to give the node up. So this waits until the daemon has closed them.
        """
        for site in self.plan.vms:
            self.faults(site).clear()
        lines = self.front.run(["sinfo", "--noheader", "--Node", "--format=%N|%E"]).stdout.splitlines()
        held = {node for node, _, reason in (line.strip().partition("|") for line in lines) if reason == ADMIN}
        for node in held:
            self.front.update_node(node, "state=resume")
        if not self.daemon_ended:
            wait_for("what was held to be closed", lambda: all(map(self._closed, held)) or None, 30, self.plight)

    def _closed(self, node: str) -> bool:
        return not {"DOWN", "DRAIN"}.isdisjoint(self.front.node_flags(node))

    def hold(self, node: str) -> None:
        """Take a node out of service as an admin does; :meth:`make_good` gives it back."""
        self.front.update_node(node, "state=drain", f"reason={ADMIN}")

    def site_folders(self) -> list[Path]:
        """Return the folders of all sites."""
        return [self.folder / "sites" / site for site in self.plan.vms]

    def launches(self) -> list[tuple[str, float]]:
        """Return the launch key and the time of each launch call that a site got."""
        calls = [call for site in self.plan.vms for call in self.calls(site) if call.get("call") == "launch"]
        return [(key, float(call["at"])) for call in calls for key in call["keys"]]

    def settings(self) -> Settings:
        """Return the configuration as the daemon has it."""
        return load(self.config, find_plugins()).settings

    # --- jobs ---

    def submit(self, *options: str, script: str = "sleep 0.2") -> int:
        """Submit a job that has to complete; without other options it takes a whole node of the pool cpu."""
        job = self.front.sbatch(script, "--time=5", *(options or ("--cpus-per-task=4",)))
        self.jobs.append(job)
        return job

    def submit_patient(self, *options: str) -> int:
        """Submit a job that runs until :meth:`finish`; return when it runs."""
        job = self.submit(*options, script=f'until [ -e "{self._release.name}" ]; do sleep 0.05; done')
        self.front.wait_job(job, "RUNNING")
        return job

    def unfinished(self) -> list[int]:
        """Return the jobs that have not completed.

        :raises AssertionError: one ended in another way: it is lost.
        """
        if not self.jobs:
            return []
        words = ["squeue", "--noheader", "--states=all", "--format=%A|%F|%T"]
        lines = [line.strip().split("|") for line in self.front.run(words).stdout.splitlines()]
        states = [(int(array), state) for _, array, state in lines if int(array) in self.jobs]
        lost = [one for one in states if one[1] in ("FAILED", "CANCELLED", "NODE_FAIL", "TIMEOUT", "BOOT_FAIL")]
        assert not lost, f"lost jobs: {lost}"
        missing = set(self.jobs) - {job for job, _ in states}
        assert not missing, f"Slurm does not know these any more: {missing}"
        return sorted({job for job, state in states if state != "COMPLETED"})

    # --- waiting for what a scenario needs next; it ends early when the daemon has died ---

    def claim_in(self, *states: ClaimState, but: Collection[str] = (), timeout: float = 60.0) -> Claim:
        """Wait until a claim whose key is not among *but* is in one of these states, by the ledger; return it."""

        def found() -> Claim | None:
            return next((one for one in self.claims() if one.state in states and one.key not in but), None)

        return wait_for(f"a claim to be {' or '.join(states)}", found, timeout, self.plight)


def _vm(claim: Claim) -> str:
    return f"{claim.offer.site}/{claim.instance_id}"
