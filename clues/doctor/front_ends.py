"""Where there are two front-ends: the folder that they share, and who holds the lease in it."""

from __future__ import annotations

from collections.abc import Iterator

from clues.config import FrontEnds
from clues.model import Finding, Soundness
from clues.standby.folder import SharedFolder

_TOPIC = "front-ends"


def examine_front_ends(given: FrontEnds | None) -> Iterator[Finding]:
    """Look whether the shared folder is there, is ours alone, and has one lease."""
    if given is None:
        return
    try:
        mode = given.shared.stat().st_mode
        lease, trouble = SharedFolder(given.shared).look()
    except PermissionError as error:
        yield Finding(_TOPIC, Soundness.UNKNOWN, str(error), "run `clues doctor` as root")
        return
    except OSError as error:
        cure = "mount the file system that both front-ends share: without it neither is active"
        yield Finding(_TOPIC, Soundness.BAD, f"{given.shared}: {error.strerror}", cure)
        return
    if mode & 0o077:
        text = f"{given.shared} is open to others: who can write there decides who is active"
        yield Finding(_TOPIC, Soundness.BAD, text, f"chmod 0700 {given.shared}")
    if lease is None:
        yield Finding(_TOPIC, Soundness.BAD, trouble, "see docs/how-to/two-front-ends.md")
    else:
        holder = f"{lease.name} holds the lease" if lease.holder else "nobody has taken the lease yet"
        yield Finding(_TOPIC, Soundness.GOOD, f"{given.shared}: {holder}")
