"""What a VM and the enrolment front say to each other, as lines that a plain ``sh`` can read.

An image may have no Python and no jq, so the answer is made of lines of known forms, each checked on both
sides, and ends with a line that counts them: an answer that was cut off is refused as a whole::

    clues 1
    file 0400 /etc/munge/munge.key c2VjcmV0
    set TIME 1893456000
    set SLURMD_OPTIONS --conf-server 10.77.0.1:6817 -N gpu-01
    service munge
    mount 10.77.0.1:/home /home nfs4 nosuid,nodev
    service slurmd
    end 7

What a VM sends is a stranger's data even with a good ticket: it is parsed strictly, and its words are
cleaned before they reach a log or a terminal.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from clues.model import Facts, Gpu, Resources, make_gpus
from clues.ports import Provision

#: the longest last word that is taken, in characters
LONGEST_WORD = 2048

#: kinds of report
REPORTS = ("started", "failed", "spot", "shortcut", "strangers")

_NAME = r"[A-Za-z0-9_][A-Za-z0-9_.-]*"
_PATH = re.compile(
    rf"/etc/(?:munge|slurm|clues|clues/tls|clues/hooks|openvpn/clues)/{_NAME}|/etc/systemd/system/clues-[A-Za-z0-9-]+\.service"
)
_SETTINGS = {
    "HOSTNAME": re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,62}[A-Za-z0-9])?"),
    "SLURMD_OPTIONS": re.compile(r"[A-Za-z0-9_./:=,@%+ -]*"),
    "TUNNEL": re.compile(r"[0-9A-Fa-f:.]{2,45}"),
    # SlurmUser as name:uid
    "SLURM_USER": re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,31}:[0-9]{1,10}"),
    # slurmctld's version, and the releases that slurmd may be of
    "SLURMD_RELEASES": re.compile(r"[0-9]+\.[0-9]+[A-Za-z0-9.+-]{0,20}(?: [0-9]{2}\.[0-9]{2}){1,8}"),
    # programs of slurm.conf that slurmd runs; a star may stand in a path
    "SLURM_PROGRAMS": re.compile(r"(?:/[A-Za-z0-9_.*/+-]+(?: |$)){1,16}"),
    # seconds that the boot may take
    "LIMIT": re.compile(r"[1-9][0-9]{0,5}"),
    # nothing that runs jobs starts before the accounts are there
    "ACCOUNTS": re.compile(r"yes"),
}
_SERVICE = re.compile(r"[A-Za-z][A-Za-z0-9_.-]*")
_SOURCE = re.compile(r"[A-Za-z0-9_./:@%\[\]-]{1,255}")
_TARGET = re.compile(r"(?:/[A-Za-z0-9_-][A-Za-z0-9_.-]*)+")
_TYPE = re.compile(r"[a-z0-9]{1,16}")
_OPTIONS = re.compile(r"[A-Za-z0-9_.,:=/@%+-]{1,255}")
#: folders that a mount would put the image itself out of order with
_SYSTEM = re.compile(r"/(?:etc|usr|bin|sbin|lib[0-9a-z]*|boot|dev|proc|sys|run|root|var)(?:/.*)?")
#: a mount never brings these, whatever it was asked with; the script forces them, too
_FORCED = ("nosuid", "nodev")

_TICKET = re.compile(r"Ticket ([A-Za-z0-9._-]{1,256})")
_BASE64 = re.compile(r"[A-Za-z0-9+/]{1,4094}={0,2}")
_PROOF = re.compile(r"[A-Za-z0-9+/]{1,8190}={0,2}\.[A-Za-z0-9+/]{1,4094}={0,2}")
_FINGERPRINT = re.compile(r"(?:[0-9A-F]{2}:){31}[0-9A-F]{2}")
_GPU = re.compile(r"(?:([A-Za-z0-9_.-]{0,64}):)?([0-9]{1,3})")
_COUNT = re.compile(r"[0-9]{1,9}")
_EPOCH = re.compile(r"[0-9]{1,11}")
#: as `ssh-keygen -l` shows it
_HOST_KEY = re.compile(r"SHA256:[A-Za-z0-9+/]{43}")
_MOST_HOST_KEYS = 16

_NOTICE = re.compile(
    r"(terminate|stop|hibernate|rebalance) (2[0-9]{3}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9]Z)", re.ASCII
)
_MOST_NOTICES = 4
_HOOK_RUN = re.compile(r"hook ([A-Za-z0-9][A-Za-z0-9_.-]{0,63}) ([0-9]{1,6}\.[0-9]) ([0-9]{1,3})(?: (.*))?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Enrolment:
    """What a VM sends with its ticket."""

    #: certificate signing request: DER in base64, checked by the signer
    csr: str
    #: of a router's self-signed certificate; empty: it has none
    fingerprint: str
    cpus: int
    memory_mib: int
    #: ``type:count`` pairs, as the VM wrote them
    gpus: str
    #: its wall clock, seconds since the epoch, and by how much it is ahead of ours
    clock: int
    clock_skew_seconds: float
    #: fingerprints of its SSH host keys
    host_keys: tuple[str, ...] = ()
    #: what its provider signs about it, for the connector to check; empty: nobody asked for it
    proof: str = ""


def encode_answer(provision: Provision, now: datetime) -> bytes:
    """Return the answer that the user-data script reads; every secret is a file by now.

    :raises ValueError: a path, setting, service or mount that the script would refuse; the text names it without its
        content.
    """
    lines = ["clues 1"]
    for path, mode, content in provision.files:
        if not _PATH.fullmatch(path) or mode & ~0o777:
            raise ValueError(f"a VM takes no file {path!r} with mode {mode:o}")
        lines.append(f"file {mode:04o} {path} {base64.b64encode(content).decode()}".rstrip())
    lines.append(f"set TIME {int(now.timestamp())}")
    for name, value in provision.settings.items():
        if name not in _SETTINGS or not _SETTINGS[name].fullmatch(value) or value != value.strip():
            raise ValueError(f"a VM takes no setting {name!r} of this form")
        lines.append(f"set {name} {value}".rstrip())
    mounts = [_mount_line(mount) for mount in provision.mounts]
    for service in provision.services:
        if not _SERVICE.fullmatch(service):
            raise ValueError(f"a VM has no service {service!r}")
        if service == "slurmd":  # a job finds its home
            lines, mounts = lines + mounts, []
        lines.append(f"service {service}")
    lines += mounts
    return "\n".join([*lines, f"end {len(lines)}", ""]).encode("ascii")


def _mount_line(mount: tuple[str, str, str, str]) -> str:
    source, target, kind, options = mount
    forms = ((_SOURCE, source), (_TARGET, target), (_TYPE, kind), (_OPTIONS, options or "-"))
    if not all(form.fullmatch(value) for form, value in forms) or ".." in target or _SYSTEM.fullmatch(target):
        raise ValueError(f"a VM mounts nothing at {target!r} in this form")
    kept = [one for one in options.split(",") if one and one not in _FORCED and one not in ("suid", "dev")]
    return f"mount {source} {target} {kind} {','.join((*kept, *_FORCED))}"


def parse_ticket(authorization: str) -> str:
    """Return the ticket in an ``Authorization`` header.

    :raises ValueError: anything else.
    """
    match = _TICKET.fullmatch(authorization)
    if not match:
        raise ValueError("the Authorization header is not of the form 'Ticket ...'")
    return match[1]


def parse_enrolment(body: bytes, now: datetime) -> Enrolment:
    """Return what a VM sent; *now* is when the body arrived, to tell the clock's skew.

    :raises ValueError: a line that is missing, twice there, unknown or malformed.
    """
    found = _parse_lines(body, _FIELDS, optional=("fingerprint", "HOST_KEYS", "proof"))
    clock = int(found["CLOCK"])
    return Enrolment(
        csr=found["csr"],
        fingerprint=found.get("fingerprint", ""),
        cpus=int(found["CPUS"]),
        memory_mib=int(found["MEMORY_MIB"]),
        gpus=found["GPUS"],
        clock=clock,
        clock_skew_seconds=clock - now.timestamp(),
        host_keys=_host_keys(found.get("HOST_KEYS", "")),
        proof=found.get("proof", ""),
    )


def parse_renewal(body: bytes) -> str:
    """Return the certificate signing request (DER in base64) of a renewal.

    :raises ValueError: anything else than one line ``csr=...``.
    """
    return _parse_lines(body, {"csr": _FIELDS["csr"]})["csr"]


def _parse_lines(
    body: bytes, fields: dict[str, Callable[[str], object]], optional: tuple[str, ...] = ()
) -> dict[str, str]:
    try:
        text = body.decode("ascii")
    except UnicodeDecodeError as error:
        raise ValueError("the body is not ASCII") from error
    found: dict[str, str] = {}
    for number, line in enumerate(text.removesuffix("\n").split("\n"), 1):
        name, equals, value = line.partition("=")
        if not equals or name not in fields:
            raise ValueError(f"line {number} is none of {', '.join(f'{field}=...' for field in fields)}")
        if name in found:
            raise ValueError(f"{name} is there twice")
        if not fields[name](value):
            raise ValueError(f"the value of {name} is malformed")
        found[name] = value
    if missing := [field for field in fields if field not in found and field not in optional]:
        raise ValueError(f"{', '.join(missing)} is missing")
    return found


def parse_report(body: bytes) -> tuple[str, str]:
    """Return the kind of a report and its words, cleaned and cut to :data:`LONGEST_WORD`.

    :raises ValueError: the first line is no kind of report.
    """
    kind, _, words = body.decode("utf-8", "replace").partition("\n")
    if kind not in REPORTS:
        raise ValueError(f"the first line is none of {', '.join(REPORTS)}")
    return kind, clean(words)[-LONGEST_WORD:].strip()


@dataclass(frozen=True, slots=True)
class SpotNotice:
    """What a spot VM has heard of its provider."""

    #: ``terminate``, ``stop`` or ``hibernate`` at that time; ``rebalance``: it may be taken back soon
    action: str
    at: datetime


def parse_spot(words: str) -> tuple[SpotNotice, ...]:
    """Return the notices in a ``spot`` report, a line each: ``terminate 2026-11-29T10:00:00Z``.

    :raises ValueError: anything else; it is a stranger's data.
    """
    lines = words.splitlines()
    matches = [_NOTICE.fullmatch(line) for line in lines]
    found = [SpotNotice(match[1], datetime.fromisoformat(match[2])) for match in matches if match]
    if not found or len(found) != len(lines) or len(found) > _MOST_NOTICES:
        raise ValueError("these are no notices of a spot VM")
    return tuple(found)


@dataclass(frozen=True, slots=True)
class HookRun:
    """How a hook has ended on a VM that has started."""

    name: str
    seconds: float
    #: 0: it worked; 124: it was ended by its time
    code: int
    #: its last words where it did not work
    words: str = ""


@dataclass(frozen=True, slots=True)
class Started:
    """What a VM tells when it has started."""

    hooks: tuple[HookRun, ...] = ()
    warnings: tuple[str, ...] = ()
    #: other lines: its GPUs and their driver, the version of slurmd
    others: tuple[str, ...] = ()


def parse_started(words: str) -> Started:
    """Return what a ``started`` report tells. A line of no known form is among the others, whatever it says."""
    hooks, warnings, others = [], [], []
    for line in filter(None, words.splitlines()):
        if match := _HOOK_RUN.fullmatch(line):
            hooks.append(HookRun(match[1], float(match[2]), int(match[3]), (match[4] or "").strip()))
        elif line.startswith("warning "):
            warnings.append(line.removeprefix("warning "))
        else:
            others.append(line)
    return Started(tuple(hooks), tuple(warnings), tuple(others))


def clean(words: str) -> str:
    """Return a stranger's words without what moves a terminal's cursor or turns its text around."""
    words = words.replace("\t", " ").replace("\r\n", "\n")
    return "".join(letter if letter == "\n" or letter.isprintable() else "?" for letter in words)


def make_facts(
    cpus: int, memory_mib: int, gpus: str, clock_skew_seconds: float, host_keys: Sequence[str] = ()
) -> Facts:
    """Return facts as the core wants them.

    :raises ValueError: a negative number, GPUs that are not ``type:count`` pairs, or host keys that are no
        fingerprints.
    """
    if cpus < 0 or memory_mib < 0 or not _is_gpus(gpus) or not _is_host_keys(",".join(host_keys)):
        raise ValueError("these are no facts of a VM")
    counted = Resources(gpus=make_gpus(_gpus(gpus)))
    return Facts(cpus, memory_mib, counted, clock_skew_seconds, tuple(host_keys))


def is_proof(text: str) -> bool:
    """Return whether this has the form of a provider's signed word about a VM: two texts in base64; or is none."""
    return not text or _PROOF.fullmatch(text) is not None


def is_fingerprint(text: str) -> bool:
    """Return whether this is a certificate's fingerprint (SHA-256, upper case with colons), or none."""
    return not text or _FINGERPRINT.fullmatch(text) is not None


def _gpus(text: str) -> list[Gpu]:
    matches = [_GPU.fullmatch(part) for part in text.split(",")] if text else []
    return [Gpu(match[1] or "", int(match[2])) for match in matches if match]


def _is_gpus(text: str) -> bool:
    return not text or (len(text) <= 1024 and all(_GPU.fullmatch(part) for part in text.split(",")))


def _host_keys(text: str) -> tuple[str, ...]:
    return tuple(text.split(",")) if text else ()


def _is_host_keys(text: str) -> bool:
    keys = _host_keys(text)
    return len(keys) <= _MOST_HOST_KEYS and all(_HOST_KEY.fullmatch(key) for key in keys)


_FIELDS: dict[str, Callable[[str], object]] = {
    "csr": _BASE64.fullmatch,
    "fingerprint": is_fingerprint,
    "CPUS": _COUNT.fullmatch,
    "MEMORY_MIB": _COUNT.fullmatch,
    "GPUS": _is_gpus,
    "CLOCK": _EPOCH.fullmatch,
    "HOST_KEYS": _is_host_keys,
    "proof": is_proof,
}
