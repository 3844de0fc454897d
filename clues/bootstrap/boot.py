"""The files of the second part of a VM's boot: the script that goes on where user-data ends, and what it is told.

User-data has to be small, since clouds take 16 KiB, and is rendered when the VM is launched. So it enrols and no more;
the rest comes with the answer, may be as large as it needs, and is what the configuration says at that moment.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta

from clues import templates
from clues.config.values import BOOT_SHARE, GpuChecks, Hook, Workers
from clues.errors import ConfigError
from clues.model import Claim, Gpu, Kind
from clues.ports import Provision

#: what one hook, and all of them together, may have: an answer to an enrolment has a bound
LARGEST_HOOK = 64 * 1024
LARGEST_HOOKS = 256 * 1024

_PLAIN = re.compile(r"[A-Za-z0-9_.:/ -]*")

_File = tuple[str, int, bytes]


def boot(claim: Claim, workers: Workers, join_deadline: timedelta) -> Provision:
    """Return the boot of a claim's VM.

    :param join_deadline: how long after its enrolment the VM is given up.
    :raises ConfigError: a hook cannot be handed out.
    """
    conf = {"NODE": claim.node, "KIND": str(claim.kind), "POOL": claim.pool, "SITE": claim.offer.site}
    files: list[_File] = [
        ("/etc/clues/boot", 0o755, templates.read("boot.sh").encode()),
        ("/etc/clues/boot.conf", 0o644, _conf(conf)),
    ]
    if workers.guard_metadata:
        files.append(("/etc/clues/guard", 0o755, templates.read("guard.sh").encode()))
    if claim.kind is Kind.WORKER:
        files += _hooks([hook for hook in workers.hooks if hook.runs_at(claim.offer.site, claim.pool)])
        if claim.shape.gpus and workers.gpus.check:
            files.append(("/etc/clues/check-gpus", 0o755, templates.read("check-gpus.sh").encode()))
            files.append(("/etc/clues/gpus.conf", 0o644, _gpus(claim.shape.gpus, workers.gpus)))
    return Provision(files=tuple(files), settings={"LIMIT": str(limit_of(join_deadline))})


def limit_of(join_deadline: timedelta) -> int:
    """Return for how many seconds a boot may go on after the enrolment."""
    return max(1, int(join_deadline.total_seconds() * BOOT_SHARE))


def read_hook(hook: Hook) -> bytes:
    """Return a hook's content, read anew each time, since a sysadmin may have changed it.

    :raises ConfigError: it cannot be read, is too large, or is no program; the text says what to do.
    """
    try:
        with hook.file.open("rb") as file:
            content = file.read(LARGEST_HOOK + 1)
    except OSError as error:
        raise ConfigError(f"hook {hook.name} cannot be read (workers.hooks): {error}") from error
    if len(content) > LARGEST_HOOK:
        raise ConfigError(f"hook {hook.name} is larger than {LARGEST_HOOK // 1024} KiB: let it fetch what it needs")
    if not content.startswith(b"#!"):
        raise ConfigError(f"hook {hook.name} ({hook.file}) does not begin with #!, so no VM would know how to run it")
    return content


def trouble_with_hooks(hooks: Iterable[Hook]) -> list[str]:
    """Return why hooks cannot be handed out, a sentence each; for who looks before VMs do."""
    found = []
    for hook in hooks:
        try:
            read_hook(hook)
        except ConfigError as error:
            found.append(str(error))
    return found


def _hooks(hooks: Sequence[Hook]) -> list[_File]:
    files: list[_File] = []
    lines = []
    for number, hook in enumerate(hooks, start=1):
        name = f"{number:02}-{hook.name}"
        files.append((f"/etc/clues/hooks/{name}", 0o700, read_hook(hook)))
        seconds = max(1, int(hook.timeout.total_seconds()))
        lines.append(f"{name} {seconds} {'required' if hook.required else 'optional'}\n")
    if sum(len(content) for _, _, content in files) > LARGEST_HOOKS:
        raise ConfigError(
            f"all hooks together have more than {LARGEST_HOOKS // 1024} KiB: let them fetch what they need"
        )
    return [*files, ("/etc/clues/hooks.list", 0o644, "".join(lines).encode())] if files else []


def _gpus(wanted: Sequence[Gpu], checks: GpuChecks) -> bytes:
    lines = [f"want {gpu.type or '-'} {gpu.count}" for gpu in wanted]
    lines += [f"name {kind} {product}" for kind, products in checks.names.items() for product in products]
    lines += [f"driver {checks.driver}"] if checks.driver else []
    lines += [] if checks.ecc else ["ecc no"]
    lines += [] if checks.xid else ["xid no"]
    return "".join(f"{line}\n" for line in lines).encode()


def _conf(values: Mapping[str, str]) -> bytes:
    """Return lines that sh and sed read alike.

    :raises ValueError: a value that would need quoting.
    """
    if any(not _PLAIN.fullmatch(value) for value in values.values()):
        raise ValueError("the boot of a VM is told plain words only")
    return "".join(f"{name}='{value}'\n" for name, value in values.items()).encode()
