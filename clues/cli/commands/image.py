"""``clues image check``: boots one VM from an image and tells how that went."""

from __future__ import annotations

import sys
import time
from argparse import ArgumentParser, Namespace

from clues.api import wire, wire_clouds
from clues.api.codec import printable
from clues.cli import words
from clues.cli.command import Command, Session
from clues.cli.errors import CliError
from clues.cli.output import View, parse

_POLL_SECONDS = 2.0


def _lines(answer: wire_clouds.ImageTrial) -> list[str]:
    what = f"image {answer.image} at {answer.site} ({answer.offer})"
    return [printable(f"{answer.verdict or 'unknown'}: {what}: {answer.reason}")]


VIEW = View(wire_clouds.ImageTrial, lambda answer, _: _lines(answer), lambda answer: [answer.verdict or "unknown"])


def _run(arguments: Namespace, session: Session) -> int:
    body = {"site": arguments.site, "image": arguments.image, "flavor": arguments.flavor or ""}
    trial = parse(wire_clouds.ImageTrial, session.client.post("images/trials", body))
    try:
        raw = _wait(trial.claim, session)
    except BaseException:
        _stop(trial.claim, session)
        raise
    session.output.show(raw, VIEW)
    return 0 if parse(wire_clouds.ImageTrial, raw).verdict == "good" else 1


def _wait(claim: str, session: Session) -> bytes:
    """Tell what happens until the VM is gone; return the answer in which the verdict stood first."""
    verdict: bytes | None = None
    after = 0
    while True:
        raw = session.client.get(f"images/trials/{claim}")
        trial = parse(wire_clouds.ImageTrial, raw)
        after = _tell(trial, session, after)
        if trial.verdict and verdict is None:
            verdict = raw
        if trial.state == "gone":
            return verdict or raw
        time.sleep(_POLL_SECONDS)


def _tell(trial: wire_clouds.ImageTrial, session: Session, after: int) -> int:
    """Write on standard error what has happened since; return how far that is."""
    query: list[tuple[str, str | int | float]] = [("about", trial.claim), ("after", after), ("limit", 100)]
    answer = parse(wire.EventList, session.client.get("events", query))
    for event in answer.events:
        sys.stderr.write(printable(f"{words.local_time(event.at)}  {event.text}") + "\n")
    sys.stderr.flush()
    return answer.last


def _stop(claim: str, session: Session) -> None:
    """Have the VM ended. Where that cannot be said it ends all the same, by its deadlines."""
    try:
        session.client.post(f"images/trials/{claim}/stop")
        sys.stderr.write("clues: its VM is being ended\n")
    except CliError as error:
        sys.stderr.write(f"clues: {error}; its VM ends by itself\n")


def _arguments(parser: ArgumentParser) -> None:
    parser.add_argument("site", metavar="SITE", help="where")
    parser.add_argument("image", metavar="IMAGE", help="the image, as an offer would name it")
    parser.add_argument("--flavor", metavar="FLAVOR", help="on this one, instead of that of the site's first offer")


COMMAND = Command(
    words=("image", "check"),
    summary="boot one VM from an image, and tell whether it becomes a worker",
    run=_run,
    arguments=_arguments,
    about="The VM takes a node that nobody uses, boots, enrols, runs the hooks, mounts and checks that every worker "
    "does, and its slurmd registers. Its node is never opened, so no job starts there. Then the VM is ended; also "
    "when you interrupt this command, or it dies. It counts in limits, quotas and costs. Exits with 1 when the image "
    "is bad.",
    examples=(
        ("clues image check cesnet clues-worker-cuda-12.4", "before it goes into clues.yaml"),
        ("clues image check aws ami-0abc --flavor g5.2xlarge", "on a machine with a GPU"),
    ),
)
