"""The lock: which release of each package is installed, and what its files' SHA-256 may be.

Three files: ``lock/dev.txt`` (all), and of that ``lock/clues.txt`` (what a front-end needs) and ``lock/build.txt``
(what builds packages that are published as source only). All rules here hold without a network.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
CLUES, DEV, BUILD = "lock/clues.txt", "lock/dev.txt", "lock/build.txt"
FILES = (CLUES, DEV, BUILD)
CONSTRAINTS = "constraints.txt"
#: Build backends: of this project, and of packages that are published as source only.
BACKENDS = ("hatchling", "editables", "setuptools", "wheel")

_HASH = re.compile(r"--hash=sha256:[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Pin:
    """One entry of a lock file."""

    name: str
    version: str
    hashes: int
    #: what is wrong with it, in words; empty: nothing
    wrong: str = ""


def pins(text: str) -> Iterator[Pin]:
    """Go through the entries of a lock file; what is no pinned release of an index is told as wrong."""
    for line in re.sub(r"\\\n", " ", text).splitlines():
        entry = line.partition(" #")[0].strip()
        if not entry or entry.startswith("#"):
            continue
        hashes = len(_HASH.findall(entry))
        words = _HASH.sub("", entry).strip()
        try:
            asked = Requirement(words)
        except InvalidRequirement:
            yield Pin(
                words, "", hashes, "is neither a release nor a hash: indexes, paths and options have no place here"
            )
            continue
        exact = [one.version for one in asked.specifier if one.operator == "==" and not one.version.endswith("*")]
        wrong = ""
        if asked.url:
            wrong = "is an address, not a release"
        elif len(exact) != 1 or len(asked.specifier) != 1:
            wrong = "is not pinned to one release"
        elif not hashes:
            wrong = "has no hash"
        yield Pin(canonicalize_name(asked.name), exact[0] if exact else "", hashes, wrong)


def faults(root: Path = ROOT) -> list[str]:
    """Return what is wrong with the lock, each with its place; the cure of all is ``./dev lock``."""
    found = []
    versions: dict[str, dict[str, str]] = {}
    for file in FILES:
        seen: dict[str, str] = {}
        for pin in pins((root / file).read_text()):
            if pin.wrong:
                found.append(f"{file}: {pin.name} {pin.wrong}")
            elif pin.name in seen:
                found.append(f"{file}: {pin.name} is there twice")
            seen[pin.name] = pin.version
        versions[file] = seen
    for file in (CLUES, BUILD):
        found += [
            f"{file}: {name} {version}, but {versions[DEV].get(name, 'none')} in {DEV}"
            for name, version in versions[file].items()
            if versions[DEV].get(name) != version
        ]
    found += _unlike_constraints(versions[DEV], (root / CONSTRAINTS).read_text())
    found += _unlike_project(versions, tomllib.loads((root / "pyproject.toml").read_text())["project"])
    return found


def _unlike_constraints(locked: Mapping[str, str], text: str) -> Iterator[str]:
    wanted = dict(line.split("==") for line in text.splitlines() if line and not line.startswith("#"))
    wanted = {canonicalize_name(name): version for name, version in wanted.items()}
    for name in sorted(wanted.keys() | locked.keys()):
        if wanted.get(name) != locked.get(name):
            yield f"{CONSTRAINTS}: {name} {wanted.get(name, 'is missing')}, but {locked.get(name, 'none')} in {DEV}"


def _unlike_project(versions: Mapping[str, Mapping[str, str]], project: Mapping[str, object]) -> Iterator[str]:
    extras = project["optional-dependencies"]
    assert isinstance(extras, dict)  # noqa: S101 - as PEP 621 has it
    dependencies = project["dependencies"]
    assert isinstance(dependencies, list)  # noqa: S101
    wanted = [(CLUES, one) for one in dependencies] + [(DEV, one) for several in extras.values() for one in several]
    wanted += [(BUILD, one) for one in BACKENDS]
    for file, text in wanted:
        asked = Requirement(text)
        name = canonicalize_name(asked.name)
        version = versions[file].get(name)
        if name != "clues" and (version is None or version not in asked.specifier):
            yield f"{file}: pyproject.toml wants {asked}, and {version or 'nothing'} is locked"
