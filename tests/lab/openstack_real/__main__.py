"""`python -m tests.lab.openstack_real install | up --folder F | down --folder F`."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from pathlib import Path

from tests.lab.frontend import LabError, wait_for
from tests.lab.openstack_real.cloud import OpenStack
from tests.lab.openstack_real.install import install, say

_ENDS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main() -> int:
    """Install what a cloud needs, hold one up until a signal comes, or tell the one that does to end."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.lab.openstack_real",
        description="A real OpenStack on this machine's loopback. `up` stays until Ctrl-C, SIGTERM or `down`.",
    )
    parser.add_argument("command", choices=("install", "up", "down"))
    parser.add_argument("--folder", type=Path, help="where all that is written goes; clouds.yaml too")
    arguments = parser.parse_args()
    if arguments.command != "install" and arguments.folder is None:
        parser.error("--folder is needed")
    try:
        if arguments.command == "install":
            install()
        elif arguments.command == "up":
            up(arguments.folder)
        else:
            down(arguments.folder)
    except LabError as error:
        say(str(error))
        return 1
    return 0


def up(folder: Path) -> None:
    """Hold a cloud up."""
    for number in _ENDS:
        signal.signal(number, _end)
    install()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    pid = folder / "pid"
    try:
        with OpenStack(folder) as cloud:
            pid.write_text(f"{os.getpid()}\n")
            print(f"OS_CLIENT_CONFIG_FILE={cloud.clouds_yaml} OS_CLOUD=lab")
            signal.pause()
    except KeyboardInterrupt:
        say("ended")
    finally:
        pid.unlink(missing_ok=True)


def _end(*_: object) -> None:
    for number in _ENDS:
        signal.signal(number, signal.SIG_IGN)  # it is ending
    raise KeyboardInterrupt


def down(folder: Path) -> None:
    """Tell the process that holds the cloud to end, and wait until it has."""
    pid = folder / "pid"
    try:
        number = int(pid.read_text())
    except FileNotFoundError:
        say(f"no cloud is up in {folder}")
        return
    os.kill(number, signal.SIGTERM)
    wait_for("the cloud's end", lambda: None if pid.exists() else True, 60)


if __name__ == "__main__":
    sys.exit(main())
