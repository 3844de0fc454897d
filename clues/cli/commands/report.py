"""``clues report``: what a bug report needs, in one file, without secrets."""

from __future__ import annotations

import json
import os
import sys
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator

from clues import __version__
from clues.cli.client import DEFAULT_SOCKET, Query
from clues.cli.command import Command, Session
from clues.cli.commands.offline import DEFAULT_FILE, find
from clues.cli.errors import CliError, Failed
from clues.cli.scrub import scrub, scrub_text

#: What is asked of the daemon, by the file that it becomes.
_ASKED: tuple[tuple[str, str, Query], ...] = (
    ("version", "version", ()),
    ("status", "status", ()),
    ("nodes", "nodes", ()),
    ("jobs", "jobs", ()),
    ("sites", "sites", ()),
    ("offers", "offers", ()),
    ("plan", "plan", ()),
    ("vrouter", "vrouter", ()),
    ("events", "events", (("limit", 1000),)),
)


def _parts(arguments: Namespace, session: Session) -> Iterator[tuple[str, Callable[[], str]]]:
    yield "clues.txt", lambda: f"clues {__version__}\nPython {sys.version}\n{' '.join(os.uname())}\n"
    for name, path, query in _ASKED:
        yield f"{name}.json", lambda path=path, query=query: _answer(session, path, query)  # type: ignore[misc]
    yield "clues.yaml", lambda: _configuration(arguments.config or DEFAULT_FILE)
    if not arguments.no_doctor:
        yield "doctor.json", lambda: _doctor(arguments, session)


def _answer(session: Session, path: str, query: Query) -> str:
    return json.dumps(scrub(json.loads(session.client.get(path, query))), indent=1)


def _configuration(path: str) -> str:
    """Return the configuration as it is understood: comments, which may hold anything, are gone."""
    import yaml

    with open(path, encoding="utf-8") as file:  # noqa: PTH123 - pathlib would be imported for this
        return str(yaml.safe_dump(scrub(yaml.safe_load(file)), sort_keys=False))


def _doctor(arguments: Namespace, session: Session) -> str:
    import io
    from contextlib import redirect_stdout

    given = [] if session.client.path == DEFAULT_SOCKET else [f"--socket={session.client.path}"]
    config = [f"--config={arguments.config}"] if arguments.config else []
    told = io.StringIO()
    with redirect_stdout(told):
        find("doctor")([*config, *given, "--output=json", "--"])
    return json.dumps(scrub(json.loads(told.getvalue())), indent=1)


def _run(arguments: Namespace, session: Session) -> int:
    import io
    import tarfile

    now = time.time()
    folder = time.strftime("clues-report-%Y%m%d-%H%M%S", time.localtime(now))
    path = arguments.file or f"{folder}.tar.gz"
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise Failed(f"{path} cannot be written: {error.strerror}; name another file") from error
    failed = []
    with os.fdopen(handle, "wb") as file, tarfile.open(fileobj=file, mode="w:gz") as archive:
        for name, make in _parts(arguments, session):
            try:
                text = make()
            except (CliError, OSError) as error:
                failed.append(name)
                name, text = f"{name}.failed", scrub_text(str(error))
            except Exception as error:  # a report is for when things are broken  # noqa: BLE001
                # its text may hold what it stumbled over
                failed.append(name)
                name, text = f"{name}.failed", type(error).__name__
            content = f"{text.rstrip()}\n".encode("utf-8", "backslashreplace")
            member = tarfile.TarInfo(f"{folder}/{name}")
            member.size, member.mtime, member.mode = len(content), int(now), 0o600
            archive.addfile(member, io.BytesIO(content))
    if failed:
        sys.stderr.write(f"clues: not in it, and the archive says why: {', '.join(failed)}\n")
    session.output.write(f"{path}: look through it before you send it (tar -xzf {path})")
    return 0


def _arguments(parser: ArgumentParser) -> None:
    parser.add_argument("file", nargs="?", metavar="FILE", help="the archive to write (./clues-report-TIME.tar.gz)")
    parser.add_argument("--config", metavar="FILE", help=f"the configuration ({DEFAULT_FILE})")
    parser.add_argument(
        "--no-doctor", action="store_true", help="without what `clues doctor` finds, which takes longest"
    )


COMMAND = Command(
    words=("report",),
    summary="put what a bug report needs into one file, without secrets",
    run=_run,
    arguments=_arguments,
    about="Versions, status, nodes, jobs, sites, offers, what the next tick would do, the last 1000 events, the "
    "configuration, and what `clues doctor` finds. Of URLs only the host is kept; values of keys that are named like "
    "secrets, keys, tokens and whatever looks like one are removed, and comments are left out. Names of users, nodes, "
    "sites and addresses are in it. What cannot be had, as when the daemon is down, is left out and says why. Nothing "
    "is sent anywhere.",
    examples=(
        ("clues report", "as root, or as a member of the group clues"),
        ("clues report --no-doctor /tmp/report.tar.gz", "quickly, into a file of that name"),
    ),
    offline=True,
)
