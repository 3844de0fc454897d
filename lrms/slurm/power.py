"""Changes to nodes whose power Slurm itself decides on (``mode: eager``), and words at jobs that they could not serve.

What 22.05.8 does, and what follows from it here:

* ``state=resume`` makes a node that is off and closed allocatable; Slurm powers it up when it gives it a job.
* ``state=down`` on a node that powers up requeues its job at once, its mates stay powering up; so all nodes of a gang
  are named in one command. ``power_down`` then calls SuspendProgram, and SuspendTimeout later the node is off and down.
* ``AdminComment`` may be set of jobs without accounting, by SlurmUser and operators; users see it and cannot write it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from clues.errors import LrmsError
from clues.model import OUR_REASON
from lrms.slurm import words
from lrms.slurm.commands import JOB_ID, Commands, clean_reason

#: Longest comment that is written: longer ones make every `scontrol show job` hard to read.
_LONGEST_COMMENT = 250
_UNFIT = re.compile(
    r"[^ -!#-&(-<>-~]+"
)  # control characters, quotes, "=" (it would look like a field), other than ASCII


def release(commands: Commands, names: Sequence[str]) -> None:
    """Resume those of these nodes that are off, closed and not by somebody else's hand."""
    present = commands.read(names)
    chosen = [
        name
        for name, node in present.items()
        if node.understood and node.off and node.closed and not node.busy and not node.kept_by_admin
    ]
    if chosen:
        commands.update(chosen, "state=resume")


def power_up(commands: Commands, names: Sequence[str]) -> None:
    """Power up those of these nodes that are off and open."""
    present = commands.read(names)
    chosen = [
        name for name, node in present.items() if node.understood and node.off and not node.closed and not node.busy
    ]
    if chosen:
        commands.update(chosen, "state=power_up")


def give_up(commands: Commands, names: Sequence[str], reason: str) -> tuple[str, ...]:
    """Set down, then power down those of these nodes that power up still; return their names."""
    present = commands.read(names)
    chosen = [name for name, node in present.items() if node.understood and node.powering_up and not node.kept_by_admin]
    if chosen:
        commands.update(chosen, "state=down", f"reason={clean_reason(reason)}")
        commands.update(chosen, "state=power_down")
    return tuple(sorted(chosen))


def annotate(commands: Commands, job: str, text: str) -> None:
    """Write *text* as the job's AdminComment, unless one is there that is not ours.

    :raises LrmsError: not a job id, or Slurm refuses it.
    """
    if not JOB_ID.fullmatch(job):
        raise LrmsError(f"not a job: {job!r}")
    try:
        shown = commands.tools.run(["squeue", "-a", "-h", "-j", job], env={"SQUEUE_FORMAT2": "admin_comment:300"})
        present = words.text_or_nothing(shown.partition("\n")[0].strip())
        if not shown or (present and not present.startswith(OUR_REASON)):
            return
        commands.tools.run(["scontrol", "update", f"jobid={job}", f"admincomment={comment(text)}"])
    except LrmsError as error:
        if "Invalid job id" not in str(error):
            raise


def comment(text: str) -> str:
    """Return *text*, which may be a provider's words, as one short line that is known as ours."""
    line = " ".join(_UNFIT.sub(" ", text).split())
    return f"{OUR_REASON} {line}"[:_LONGEST_COMMENT].strip()
