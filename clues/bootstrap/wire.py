"""What a worker and the enrolment service say to each other, as lines that a plain ``sh`` can read.

An image may have no Python and no jq, so the answer is made of lines of known forms, each checked on both
sides, and ends with a line that counts them: an answer that was cut off is refused as a whole::

    clues 1
    file 0400 /etc/munge/munge.key c2VjcmV0
    set SLURMD_OPTIONS --conf-server 10.77.0.1:6817 -N gpu-01
    service munge
    end 4

What a worker sends is a stranger's data even with a good ticket: it is parsed strictly, and its words are
cleaned before they reach a log or a terminal.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from datetime import datetime

from clues.model import Facts, Gpu, Resources, make_gpus
from clues.ports import WorkerSecrets

#: the longest last word that is taken, in characters
LONGEST_WORD = 2048

_PATH = re.compile(r"/etc/(munge|slurm)/[A-Za-z0-9_][A-Za-z0-9_.-]*")
_SETTINGS = {
    "HOSTNAME": re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,62}[A-Za-z0-9])?"),
    "SLURMD_OPTIONS": re.compile(r"[A-Za-z0-9_./:=,@%+ -]*"),
}
_SERVICE = re.compile(r"[A-Za-z][A-Za-z0-9_.-]*")

_TICKET = re.compile(r"Ticket ([A-Za-z0-9._-]{1,256})")
_NONCE = re.compile(r"[0-9a-f]{32}")
_GPU = re.compile(r"(?:([A-Za-z0-9_.-]{0,64}):)?([0-9]{1,3})")
_COUNT = re.compile(r"[0-9]{1,9}")
_EPOCH = re.compile(r"[0-9]{1,11}")
REPORTS = ("started", "failed")


def encode_answer(secrets: WorkerSecrets) -> bytes:
    """Return the answer that the user-data script reads.

    :raises ValueError: a path, setting or service that the script would refuse; the text names it without its
        content.
    """
    lines = ["clues 1"]
    for path, mode, content in secrets.files:
        if not _PATH.fullmatch(path) or mode & ~0o777:
            raise ValueError(f"a worker takes no file {path!r} with mode {mode:o}")
        lines.append(f"file {mode:04o} {path} {base64.b64encode(content).decode()}".rstrip())
    for name, value in secrets.settings.items():
        if name not in _SETTINGS or not _SETTINGS[name].fullmatch(value) or value != value.strip():
            raise ValueError(f"a worker takes no setting {name!r} of this form")
        lines.append(f"set {name} {value}".rstrip())
    for service in secrets.services:
        if not _SERVICE.fullmatch(service):
            raise ValueError(f"a worker has no service {service!r}")
        lines.append(f"service {service}")
    return "\n".join([*lines, f"end {len(lines)}", ""]).encode("ascii")


def parse_ticket(authorization: str) -> str:
    """Return the ticket in an ``Authorization`` header.

    :raises ValueError: anything else.
    """
    match = _TICKET.fullmatch(authorization)
    if not match:
        raise ValueError("the Authorization header is not of the form 'Ticket ...'")
    return match[1]


def parse_enrolment(body: bytes, now: datetime) -> tuple[str, Facts]:
    """Return the nonce and what the worker found in itself; *now* is when the body arrived, to tell the
    clock's skew.

    :raises ValueError: a line that is missing, twice there, unknown or malformed.
    """
    try:
        text = body.decode("ascii")
    except UnicodeDecodeError as error:
        raise ValueError("the body is not ASCII") from error
    found: dict[str, str] = {}
    for number, line in enumerate(text.removesuffix("\n").split("\n"), 1):
        name, equals, value = line.partition("=")
        if not equals or name not in _FIELDS:
            raise ValueError(f"line {number} is none of {', '.join(f'{field}=...' for field in _FIELDS)}")
        if name in found:
            raise ValueError(f"{name} is there twice")
        if not _FIELDS[name](value):
            raise ValueError(f"the value of {name} is malformed")
        found[name] = value
    if missing := [field for field in _FIELDS if field not in found]:
        raise ValueError(f"{', '.join(missing)} is missing")
    return found["nonce"], Facts(
        cpus=int(found["CPUS"]),
        memory_mib=int(found["MEMORY_MIB"]),
        gpus=Resources(gpus=make_gpus(_gpus(found["GPUS"]))),
        clock_skew_seconds=int(found["CLOCK"]) - now.timestamp(),
    )


def parse_report(body: bytes) -> tuple[str, str]:
    """Return the kind of a report and its words, cleaned and cut to :data:`LONGEST_WORD`.

    :raises ValueError: the first line is no kind of report.
    """
    kind, _, words = body.decode("utf-8", "replace").partition("\n")
    if kind not in REPORTS:
        raise ValueError(f"the first line is none of {', '.join(REPORTS)}")
    return kind, clean(words)[-LONGEST_WORD:].strip()


def clean(words: str) -> str:
    """Return a stranger's words without what moves a terminal's cursor or turns its text around."""
    words = words.replace("\t", " ").replace("\r\n", "\n")
    return "".join(letter if letter == "\n" or letter.isprintable() else "?" for letter in words)


def _gpus(text: str) -> list[Gpu]:
    matches = [_GPU.fullmatch(part) for part in text.split(",")] if text else []
    return [Gpu(match[1] or "", int(match[2])) for match in matches if match]


def _is_gpus(text: str) -> bool:
    return not text or (len(text) <= 1024 and all(_GPU.fullmatch(part) for part in text.split(",")))


_FIELDS: dict[str, Callable[[str], object]] = {
    "nonce": _NONCE.fullmatch,
    "CPUS": _COUNT.fullmatch,
    "MEMORY_MIB": _COUNT.fullmatch,
    "GPUS": _is_gpus,
    "CLOCK": _EPOCH.fullmatch,
}
