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
    "reaction": "sbatch to launch call, to first output; node opened to job started (real Slurm, five minutes)",
    "tick": "CPU and memory of one tick at 5,000 nodes and 10,000 jobs",
    "cli": "process time of `clues status` at 1,000 nodes",
}


def main() -> int:
    """Run one benchmark and print its figures."""
    parser = argparse.ArgumentParser(
        prog="./dev bench",
        description="Measures what docs/benchmarks.md claims.",
        epilog="\n".join(f"{name:<10}{text}" for name, text in BENCHES.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("name", choices=BENCHES, metavar="NAME", help=", ".join(BENCHES))
    parser.add_argument("--json", action="store_true", help="one JSON object")
    arguments = parser.parse_args()
    try:
        if arguments.name == "reaction" and inside() is None:
            shutil.rmtree(FOLDER, ignore_errors=True)
            return enter([sys.executable, "-m", "tests.lab.bench", *sys.argv[1:]], folder=FOLDER)
        print(show(arguments.name, _run(arguments.name), as_json=arguments.json))
    except (LabError, SandboxRefused) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    return 0


def _run(name: str) -> list[Figure]:
    if name == "reaction":
        from tests.lab.bench import reaction

        return reaction.run(FOLDER / "cluster")
    if name == "tick":
        from tests.lab.bench import tick

        return tick.run()
    from tests.lab.bench import cli

    return cli.run()


if __name__ == "__main__":
    sys.exit(main())
