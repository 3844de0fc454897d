"""`./dev demo`: enters the sandbox, runs the main job there, and prints the summary."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from connectors.local.sandbox import SandboxRefused, as_slurm_user, enter, inside
from tests.lab.cluster import Cluster, Plan
from tests.lab.demo.run import run_workload
from tests.lab.demo.summary import render, succeeded, summarise
from tests.lab.demo.view import LiveView, PlainView, View
from tests.lab.demo.workload import Submission, fixed, shuffled, spanning
from tests.lab.frontend import LabError

FOLDER = Path(__file__).parents[3] / ".lab" / "demo"


def main() -> int:
    """Run the demo; exit code 0 only if every job completed, the gang was whole, and nothing is left running."""
    arguments = build_parser().parse_args()
    if inside() is None:
        shutil.rmtree(arguments.folder, ignore_errors=True)
        try:
            return enter([sys.executable, "-m", "tests.lab.demo", *sys.argv[1:]], folder=arguments.folder)
        except SandboxRefused as error:
            print(f"demo: {error}", file=sys.stderr)
            return 1
    lacking = "" if arguments.flat else _what_tunnels_lack()
    if lacking:
        print(f"demo: no tunnels here: {lacking}; both sites are in one network instead (--flat)", file=sys.stderr)
        arguments.flat = True
    if arguments.shell:
        return _shell(arguments)
    live = sys.stderr.isatty() and not (arguments.plain or arguments.json)
    view: View = LiveView() if live else PlainView()
    try:
        return _run(arguments, view)
    except LabError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _shell(arguments: argparse.Namespace) -> int:
    """Give the user a shell on the front-end: sbatch, squeue and clues work there, until they leave it."""
    with Cluster(arguments.folder / "cluster", _plan(arguments, idle="30s")) as cluster:
        path = f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}"
        environment = {**cluster.front.env, "CLUES_SOCKET": str(cluster.socket), "PATH": path, "PS1": "demo$ "}
        print(_WELCOME, file=sys.stderr)
        shell = as_slurm_user(["bash", "--norc"])
        subprocess.run(shell, cwd=cluster.home, env=environment, check=False)
        return 0


_WELCOME = """
A private cluster runs for you: nodes cpu-[01-08] (4 CPUs) and gpu-[01-02] (one pretended GPU), none of them up yet.
Try:   sbatch --wrap 'hostname; sleep 20'   squeue   clues status --watch   clues explain 1   clues events -f
Leave with exit: all of it goes.
"""


def _plan(arguments: argparse.Namespace, **more: Any) -> Plan:
    plan = Plan(boot_time=arguments.boot_time, overlay=not arguments.flat, router={"linger": "2s"}, **more)
    if arguments.span:  # each site has room for one worker, so the gang of two needs both
        plan.vms, plan.pool = {"cesnet": 1, "upv": 1}, {"span": True}
    return plan


def _work(arguments: argparse.Namespace) -> list[Submission]:
    if arguments.span:
        return spanning()
    return fixed() if arguments.seed is None else shuffled(arguments.seed)


def _what_tunnels_lack() -> str:
    """Return why no tunnel can be made here, in words; empty when one can."""
    lacking = [program for program in ("openvpn", "nft") if shutil.which(program) is None]
    if lacking:
        return f"{' and '.join(lacking)} cannot be found (Debian packages openvpn and nftables)"
    try:
        os.close(os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC))
    except OSError as error:
        return f"/dev/net/tun cannot be opened ({error.strerror}; `modprobe tun` as root may help)"
    return ""


def _run(arguments: argparse.Namespace, view: View) -> int:
    work = _work(arguments)
    with view:
        view.say(_BOTH_IN_ONE if arguments.flat else _TWO_SITES)
        with Cluster(arguments.folder / "cluster", _plan(arguments)) as cluster:
            view.say("all nodes are closed; submitting")
            record = run_workload(cluster, work, view.show, timeout=arguments.timeout)
            cluster.stop_daemon()
    summary = summarise(record)
    print(json.dumps(summary) if arguments.json else render(summary))
    good = succeeded(record, summary)
    if not good:
        print(f"demo: it did not go as it should; logs are in {arguments.folder}", file=sys.stderr)
    return 0 if good else 1


_TWO_SITES = (
    "starting a private Slurm front-end at site cesnet, and an internet; site upv is behind NAT and gets a router when "
    "a job needs it ..."
)
_BOTH_IN_ONE = "starting a private Slurm front-end; both sites are in its own network ..."


def build_parser() -> argparse.ArgumentParser:
    """Return what `./dev demo` understands."""
    parser = argparse.ArgumentParser(
        prog="./dev demo",
        description="The main job on a real, private Slurm with this machine as the cloud: jobs arrive and workers "
        "appear, jobs end and workers go. Nothing outside its own folder is touched, and nothing is left running.",
    )
    parser.add_argument("--json", action="store_true", help="print the summary as one JSON object")
    parser.add_argument("--plain", action="store_true", help="no live view: one line for each event")
    parser.add_argument(
        "--seed", type=int, metavar="N", help="random work instead of the fixed one, the same for each N"
    )
    parser.add_argument(
        "--span", action="store_true", help="one gang with a node at each site, which send each other data"
    )
    parser.add_argument("--flat", action="store_true", help="no tunnels: both sites are in one network")
    parser.add_argument("--shell", action="store_true", help="no workload: a shell to try it yourself")
    parser.add_argument("--boot-time", default="1s", metavar="TIME", help="how long a VM takes to boot (default 1s)")
    parser.add_argument(
        "--timeout", type=float, default=240, metavar="SECONDS", help="give up after so long (default 240)"
    )
    parser.add_argument("--folder", type=Path, default=FOLDER, help=argparse.SUPPRESS)
    return parser


if __name__ == "__main__":
    sys.exit(main())
