"""What the tests of the private network on a whole cluster share: a cluster with tunnels, and a look into its VMs."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from clues.model import Claim, ClaimState, Kind
from tests.lab.cluster import Plan
from tests.lab.vpn_tools import Flow
from tests.real.withstand_lab import HURRY, SCRIPT, Trial

#: A job for a whole worker that notes its start like all others, and runs until it finds a file.
HELD = SCRIPT.replace("sleep {seconds}", 'until [ -e "stop-$SLURM_JOB_ID" ]; do sleep 0.1; done')
WHOLE = ("--cpus-per-task=4", "--time=30")


class OverlayTrial(Trial):
    """A lab cluster with tunnels; its configuration may say more of them."""

    def __init__(
        self,
        folder: Path,
        plan: Plan,
        overlay: Mapping[str, Any] | None = None,
        sites: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        """:param overlay: further keys of ``overlay:``.
        :param sites: further keys of sites.
        """
        self.overlay_keys, self.site_keys = dict(overlay or {}), dict(sites or {})
        super().__init__(folder, plan)

    def document(self) -> dict[str, Any]:
        """The configuration as a mapping."""
        found = super().document()
        found["overlay"] |= self.overlay_keys
        for site, keys in self.site_keys.items():
            found["sites"][site] |= keys
        return found

    def held_job(self, site: str) -> int:
        """Start a job that has a worker of a site for itself until `release`; its id, once it runs."""
        job = self.front.sbatch(HELD, f"--constraint={site}", *WHOLE)
        self.until("the job's first line", lambda: self.runs(job), 60)
        return job

    def release(self, job: int, timeout: float = 30) -> None:
        """Let a job end, and see that it ends well, and was started once."""
        (self.home / f"stop-{job}").touch()
        runs = self.completes(job, timeout)
        assert len(runs) == 1, runs

    def worker_of(self, job: int) -> Claim:
        """The claim of the VM that a job runs on."""
        return self.claim_at(self.runs(job)[-1].address)

    def router(self, but: str = "") -> Claim:
        """The router of upv, once its tunnel is up; another one than *but*."""

        def ready() -> list[Claim]:
            return [
                one
                for one in self.claims()
                if one.kind is Kind.ROUTER and one.state is ClaimState.READY and one.key != but
            ]

        return self.until("the router to be ready", ready, 60)[-1]

    def again(self, claim: Claim) -> Claim:
        """The same claim as it is now."""
        return next(one for one in self.claims() if one.key == claim.key)

    def bought(self, node: str) -> list[str]:
        """The claims of a node for which a site was asked, by their launch keys."""
        asked = {key for site in self.plan.vms for key in self.launched(site)}
        return sorted(one.key for one in self.claims() if one.node == node and one.key in asked)

    def network_of(self, claim: Claim) -> str:
        """What `nsenter` calls the network of a VM."""
        return f"/proc/{self.processes(claim.offer.site)[claim.instance_id].pid}/ns/net"

    def in_vm(self, claim: Claim, script: str, timeout: float = 20) -> str:
        """What a script prints that root of a VM runs; it has to succeed."""
        pid = self.processes(claim.offer.site)[claim.instance_id].pid
        words = ["nsenter", "--target", str(pid), *"--net --mount --pid --uts --ipc --".split(), "sh", "-c", script]
        done = subprocess.run(words, capture_output=True, text=True, timeout=timeout, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def flow(self, claim: Claim, target: str = "10.77.0.1") -> Flow:
        """An unbroken series of pings out of a VM, to the front-end: ten in a second."""
        log = self.folder / "flow.log"
        log.unlink(missing_ok=True)
        return Flow(self.network_of(claim), target, log)

    def log_of(self, name: str) -> str:
        """The whole log of a process."""
        return self.daemons.log(name, 100_000)


@contextmanager
def overlay_trial(
    folder: Path,
    overlay: Mapping[str, Any] | None = None,
    sites: Mapping[str, Mapping[str, Any]] | None = None,
    **plan: Any,
) -> Iterator[OverlayTrial]:
    """A running cluster with tunnels, in a hurry; *overlay* and *sites*: further keys of these."""
    pace = {"retry_offer": "2s", "retry_offer_longest": "4s", "quarantine": "5min"}
    chosen = Plan(**{"idle": "10min", "pace": pace, "slurm_conf": HURRY, "overlay": True, **plan})
    cluster = OverlayTrial(folder, chosen, overlay, sites)
    with cluster:
        yield cluster
