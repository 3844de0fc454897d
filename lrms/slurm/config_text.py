"""The running controller's settings, from ``scontrol show config``."""

from __future__ import annotations

from collections.abc import Mapping

from lrms.slurm import words


def read_config(text: str) -> Mapping[str, str]:
    """Return the settings by lower-case name; the first of two wins (the later ones belong to plugins)."""
    settings: dict[str, str] = {}
    for line in text.splitlines():
        name, equals, value = line.partition("=")
        if equals:
            settings.setdefault(name.strip().lower(), value.strip())
    return settings


def version_of(settings: Mapping[str, str]) -> str:
    """Return the controller's version, ``22.05.8``; empty when it does not tell."""
    return settings.get("slurm_version", "")


def release(version: str) -> tuple[int, int]:
    """Return (22, 5) for ``22.05.8``; (0, 0) for what is no version."""
    parts = version.split(".")
    if len(parts) < 2 or not (parts[0].isdecimal() and parts[1].isdecimal()):
        return 0, 0
    return int(parts[0]), int(parts[1])


def private_data(settings: Mapping[str, str]) -> frozenset[str]:
    """Return what is hidden from users of what is not theirs: ``jobs``, ``nodes``, ``usage``, ..."""
    text = settings.get("privatedata", "none")
    return frozenset(part.strip().lower() for part in text.split(",")) - {"", "none"}


def default_memory_per_cpu(settings: Mapping[str, str]) -> int:
    """Return DefMemPerCPU in MiB, 0 when there is none."""
    text = settings.get("defmempercpu", "")
    return 0 if text in {"", "UNLIMITED"} else words.memory_mib(text)


def enforces_limits(settings: Mapping[str, str]) -> bool:
    """Return whether limits of associations and QOSs hold (``AccountingStorageEnforce``)."""
    words_of = {part.strip().lower() for part in settings.get("accountingstorageenforce", "").split(",")}
    return bool(words_of & {"limits", "safe", "qos", "all"})
