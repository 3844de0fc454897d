"""`./dev bench NAME [--json]`."""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

from connectors.local.sandbox import SandboxRefused, enter, inside
from tests.lab.bench.figures import Figure, show
from tests.lab.frontend import LabError

FOLDER = Path(__file__).parents[3] / ".lab" / "bench"
BENCHES = {
    "planner": "cost of plans against the least there is, 50 snapshots, and CPU time (a quarter of an hour)",
    "reaction": "sbatch to launch call, to first output; node opened to job started (real Slurm, five minutes)",
    "tick": "CPU and memory of one tick at 5,000 nodes and 10,000 jobs",
    "overlay": "throughput and cost of tunnels, how soon a site joins, 200 routers at one central point (five minutes)",
    "clouds": "growth to 500 VMs at moto against bare calls; with --openstack to 20 at a real one (ten minutes)",
    "simulate": "simulated events and jobs in a second; waits and costs on traces, every baseline beside (ten minutes)",
    "faces": "command line, metrics and page at 1,000 and 5,000 nodes; what looking costs a tick (a minute)",
}
#: Those that make networks and processes of their own.
IN_SANDBOX = ("reaction", "overlay")


def build_parser() -> argparse.ArgumentParser:
    """Return what `./dev bench` understands."""
    parser = argparse.ArgumentParser(
        prog="./dev bench",
        description="Measures what docs/benchmarks.md claims.",
        epilog="\n".join(f"{name:<10}{text}" for name, text in BENCHES.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("name", choices=BENCHES, metavar="NAME", help=", ".join(BENCHES))
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.add_argument("--openstack", action="store_true", help="with clouds: also against a real OpenStack")
    parser.add_argument("--jobs", type=int, default=600, help="with simulate: jobs of each trace (600)")
    parser.add_argument(
        "--skip", type=int, default=0, help="with simulate: leave out so many jobs of each trace before"
    )
    parser.add_argument("--seed", type=int, default=1, help="with simulate: of the boot times (1)")
    parser.add_argument("--processes", type=int, default=1, help="with simulate: policies that are played at once (1)")
    parser.add_argument(
        "--year", type=int, metavar="JOBS", help="with simulate: play a whole year of so many jobs, and nothing else"
    )
    parser.add_argument(
        "--trace", type=Path, action="append", default=[], help="with simulate: a trace, and no speed; repeatable"
    )
    return parser


def main() -> int:
    """Run one benchmark and print its figures."""
    arguments = build_parser().parse_args()
    try:
        if arguments.name in IN_SANDBOX and inside() is None:
            shutil.rmtree(FOLDER, ignore_errors=True)
            return enter([sys.executable, "-m", "tests.lab.bench", *sys.argv[1:]], folder=FOLDER)
        print(show(arguments.name, _run(arguments), as_json=arguments.json))
    except (LabError, SandboxRefused) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    return 0


def _run(arguments: argparse.Namespace) -> list[Figure]:
    name: str = arguments.name
    if name == "reaction":
        from tests.lab.bench import reaction

        return reaction.run(FOLDER / "cluster")
    if name == "overlay":
        from tests.lab.bench import overlay

        return overlay.run(FOLDER / "overlay")
    if name == "tick":
        from tests.lab.bench import tick

        return tick.run()
    if name == "clouds":
        from tests.lab.bench import clouds_aws, clouds_openstack

        return clouds_aws.run() + (clouds_openstack.run(FOLDER / "openstack") if arguments.openstack else [])
    if name == "simulate":
        from tests.lab.bench import simulate

        if arguments.year:
            return simulate.play_year(arguments.year)
        if arguments.trace:
            part = (arguments.skip, arguments.skip + arguments.jobs)
            return simulate.play_traces(arguments.trace, part, arguments.seed, arguments.processes)
        return simulate.run(arguments.jobs)
    if name == "planner":
        from tests.lab.bench import planner

        return planner.run()
    from tests.lab.bench import faces

    return faces.run()


if __name__ == "__main__":
    sys.exit(main())
