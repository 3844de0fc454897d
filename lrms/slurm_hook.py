"""``clues-slurm-hook``: what slurmctld runs to have nodes of eager pools powered up or down (ResumeProgram and others).

It asks and does nothing itself. The request is written into a folder, so that it is not lost while cluesd is away;
cluesd is poked; and Slurm gets its answer at once, always a good one. What cluesd goes by are the nodes' flags in
Slurm: a request only hurries its next look and is told in its event log, so whoever may write into that folder can do
no more.

Slurm waits for this program and may start many of them, so it imports next to nothing.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

VERBS = ("resume", "suspend", "resume-fail")
USAGE = f"usage: clues-slurm-hook --spool FOLDER --socket SOCKET {'|'.join(VERBS)} HOSTLIST"

#: No more than these are kept: a cluesd that was away for so long looks at the nodes themselves anyway.
MOST_REQUESTS = 1000
#: bytes
LARGEST_REQUEST = 65536
_MOST_JOBS = 500


def main(argv: Sequence[str] | None = None) -> int:
    """Spool one request and poke cluesd. What goes wrong is told on standard error, and Slurm is told that all is
    well: it can do nothing about it, and cluesd sees the nodes' flags all the same."""
    words = list(sys.argv[1:] if argv is None else argv)
    options = {"--spool": "", "--socket": ""}
    while len(words) > 1 and words[0] in options:
        options[words[0]] = words[1]
        words = words[2:]
    if len(words) != 2 or words[0] not in VERBS:
        print(USAGE, file=sys.stdout if words[:1] in (["-h"], ["--help"]) else sys.stderr)
        return 0
    try:
        spool(options["--spool"], words[0], words[1])
    except OSError as error:
        print(f"clues-slurm-hook: {options['--spool']}: {error.strerror}: see `clues doctor`", file=sys.stderr)
    poke(options["--socket"])
    return 0


def spool(folder: str, verb: str, nodes: str) -> None:
    """Write one request so that a power failure cannot take it back, nor show half of it.

    :raises OSError: it could not be written.
    """
    now = time.time_ns()
    text = json.dumps({"verb": verb, "nodes": nodes, "at": now / 1e9, "jobs": _jobs()})
    if len(text) > LARGEST_REQUEST:
        text = json.dumps({"verb": verb, "nodes": "", "at": now / 1e9, "jobs": []})
    directory = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if len(os.listdir(directory)) >= MOST_REQUESTS:  # noqa: PTH208 - by descriptor, and pathlib is slow to import
            return
        name = f"{now:020d}-{os.getpid()}.json"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        file = os.open(f".{name}", flags, 0o640, dir_fd=directory)
        try:
            os.fchmod(file, 0o640)  # whatever slurmctld's umask: the folder's group is cluesd's
            os.write(file, text.encode())
            os.fsync(file)
        finally:
            os.close(file)
        os.rename(f".{name}", name, src_dir_fd=directory, dst_dir_fd=directory)
        os.fsync(directory)
    finally:
        os.close(directory)


def poke(path: str) -> None:
    """Tell cluesd to look; that it is not there does not matter."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as door:
            door.setblocking(False)
            door.sendto(b"", path)
    except OSError:
        pass


def _jobs() -> list[int]:
    """Return which jobs wait for nodes, as Slurm 22.05 and later tell in a file."""
    path = os.environ.get("SLURM_RESUME_FILE")
    if not path:
        return []
    try:
        with open(path, "rb") as file:  # noqa: PTH123 - pathlib is slow to import
            told = json.loads(file.read(1 << 20))
        found = [int(job["job_id"]) for job in told["jobs"][:_MOST_JOBS]]
    except (OSError, ValueError, KeyError, TypeError):
        return []
    return found


if __name__ == "__main__":
    sys.exit(main())
