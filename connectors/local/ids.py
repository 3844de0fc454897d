"""Enters a user namespace in which users 0 to 65535 are the machine's own, and becomes a command there.

Only root may map more ids than its own; `unshare` leaves that to newuidmap, which not every machine has. The maps have
to be written from outside: a helper is forked off for that, so that the command keeps this process's id. The root of
the new namespace is a fake one as every other, but it may become each of these users.

Runs by its path, with `python -S`: standard library only.
"""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path

CLONE_NEWUSER = 0x10000000
COUNT = 65536


def enter() -> None:
    """Enter the namespace. Raises OSError."""
    pid = os.getpid()
    ready, go = os.pipe()
    helper = os.fork()
    if helper == 0:
        os.close(go)
        if os.read(ready, 1):  # nothing comes where there is no namespace
            for name in ("uid_map", "gid_map"):
                Path(f"/proc/{pid}/{name}").write_text(f"0 0 {COUNT}\n", encoding="ascii")
        os._exit(0)
    os.close(ready)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWUSER) != 0:
        raise OSError(ctypes.get_errno(), "no user namespace")
    os.write(go, b".")
    os.close(go)
    _, status = os.waitpid(helper, 0)
    if status != 0:
        raise PermissionError("the user ids could not be mapped")
    os.setgroups([])


if __name__ == "__main__":
    try:
        enter()
        os.execvp(sys.argv[1], sys.argv[1:])  # noqa: S606 - no shell is wanted
    except OSError as error:
        sys.exit(f"ids: {error}")
