"""``clues simulate``: what a configuration would have made of the jobs of a trace. It needs no daemon, and no Slurm."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from clues.cli.command import Command, Session
from clues.cli.commands.offline import DEFAULT_FILE, find


def _run(arguments: Namespace, _: Session) -> int:
    words = [f"--boot={arguments.boot}", f"--seed={arguments.seed}", f"--interruptions={arguments.interruptions}"]
    words += [f"--compare={one}" for one in arguments.compare or ()]
    words += [f"--html={arguments.html}"] if arguments.html else []
    words += [f"--first={arguments.first}"] if arguments.first is not None else []
    words += [f"--processes={arguments.processes}"] if arguments.processes is not None else []
    words += [word for word, given in (("--json", arguments.json), ("--peers", arguments.peers)) if given]
    # After "--" a name that begins with a dash is a name.
    return find("simulate")([*words, "--", arguments.trace, *([arguments.file] if arguments.file else [])])


def _arguments(parser: ArgumentParser) -> None:
    parser.add_argument("trace", metavar="TRACE", help="SWF, the output of sacct --parsable2, or a CSV of GPU pods")
    parser.add_argument("file", nargs="?", metavar="FILE", help=f"the configuration ({DEFAULT_FILE})")
    parser.add_argument("--compare", action="append", metavar="FILE", help="another one beside it; repeatable")
    parser.add_argument("--peers", action="store_true", help="other elasticity managers' rules beside it")
    parser.add_argument("--html", metavar="FILE", help="write a page with plots, which needs nothing else")
    parser.add_argument("--json", action="store_true", help="print JSON instead of the table")
    parser.add_argument("--first", type=int, metavar="N", help="only the first N jobs")
    parser.add_argument("--boot", default="2min", metavar="TIME", help="median of a VM's boot (2min)")
    parser.add_argument(
        "--interruptions", type=float, default=0.0, metavar="RATE", help="of a spot VM in an hour (0: none)"
    )
    parser.add_argument("--seed", type=int, default=1, help="another seed draws other boot times (1)")
    parser.add_argument(
        "--processes", type=int, metavar="N", help="how many policies are played at once (all processors)"
    )


COMMAND = Command(
    words=("simulate",),
    summary="play last month's jobs under a configuration: waits, cost, wasted hours",
    run=_run,
    arguments=_arguments,
    about="Nothing is started and no cloud is asked. The planner, the reconciler and the ledger are those of cluesd; "
    "Slurm, the clouds and the time are simulated.",
    examples=(
        ("clues simulate jobs.txt", "your own jobs (sacct --parsable2), your configuration"),
        ("clues simulate jobs.txt now.yaml --compare idle5.yaml --html out.html", "two policies, side by side"),
    ),
    offline=True,
)
