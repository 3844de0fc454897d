"""Changes to nodes and jobs: few commands, each may be repeated, none over somebody else's reason.

Before anything is changed the nodes are read again, because a snapshot is seconds old.  What 22.05.8 does, and what
follows from it here:

* ``state=resume`` opens a node from ``IDLE+DRAIN`` and from ``DOWN+DRAIN`` alike; ``state=undrain`` leaves a
  node DOWN, which a VM's second slurmd makes it.
  Resuming a node that is open already is an error, and one that is powered down would
  become allocatable without a machine: so only registered, closed nodes are resumed.
* ``power_down`` wipes DRAIN, and asked of a node that is off it begins all over: so a node that is off or on
  its way is left out.
* Slurm wants a reason for DOWN and DRAIN and forgets the one before: an admin's is therefore written again.
* slurmctld writes reasons of its own.  Those about a machine that came or went (the model's ``PASSING_REASONS``) do
  not stand in the way of opening; those about a fault of it ("Low RealMemory") do, but may be replaced when it is
  closed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address

from clues.errors import LrmsError
from clues.hostlist import compress
from clues.model import OUR_REASON, Node, Pool
from lrms.slurm import nodes as node_reader
from lrms.slurm import words
from lrms.slurm.constraint import with_site
from lrms.slurm.tools import Tools

#: Longest reason that is written, and most nodes named in one command (an argv is bounded).
_LONGEST_REASON = 100
_NODES_AT_ONCE = 2000

_UNFIT = re.compile(r"[^ -!#-&(-~]+")  # control characters, quotes, anything but ASCII
JOB_ID = re.compile(r"[0-9]+(?:_[0-9]+|\+[0-9]+)?")
_WORD = re.compile(r"[A-Za-z0-9_.-]+")


def clean_reason(text: str) -> str:
    """Return *text* as one short line that Slurm's parsers and screens take as it is, and that is known as ours."""
    line = _UNFIT.sub(" ", text).strip()
    line = line if line.startswith(OUR_REASON) else f"{OUR_REASON} {line}"
    return " ".join(line.split())[:_LONGEST_REASON].strip()


@dataclass(frozen=True, slots=True)
class Commands:
    """Everything that changes Slurm, for the nodes of the pools only."""

    tools: Tools
    names: frozenset[str]

    @classmethod
    def for_pools(cls, tools: Tools, pools: Sequence[Pool]) -> Commands:
        return cls(tools, frozenset(name for pool in pools for name in pool.nodes))

    def open(self, names: Sequence[str]) -> None:
        """Resume the closed ones of these nodes in one command, or none of them.

        :raises LrmsError: one has no slurmd registered, or is kept closed by somebody else.
        """
        present = self.read(names)
        refused = []
        for node in present.values():
            why = _why_not_open(node)
            if why:
                refused.append(f"{node.name} {why}")
        if refused:
            raise LrmsError(f"no node was opened: {'; '.join(refused[:5])}")
        closed = [name for name, node in present.items() if node.closed]
        if closed:
            self.update(closed, "state=resume")

    def drain(self, names: Sequence[str], reason: str) -> None:
        """Drain these nodes; one that has somebody else's reason keeps it."""
        ours = clean_reason(reason)
        groups: dict[str, list[str]] = {}
        for name, node in self.read(names).items():
            wanted = ours if node.reason_is_ours else node.reason
            if "DRAIN" in node.flags and node.reason == wanted:
                continue
            groups.setdefault(wanted, []).append(name)
        for wanted, members in groups.items():
            self.update(members, "state=drain", f"reason={wanted}")

    def power_off(self, names: Sequence[str], reason: str, *, vanished: bool) -> tuple[str, ...]:
        """Set down and power down the closed, idle ones of these nodes (all, if their VMs have *vanished*).

        A node with a flag that is not known is never touched. Return the names.
        """
        ours = clean_reason(reason)
        present = self.read(names)
        held = frozenset() if vanished else self._held(names)
        groups: dict[str, list[str]] = {}
        for name, node in present.items():
            if not node.understood or node.off or node.turning_off:
                continue
            if not vanished and (node.busy or not node.closed or name in held):
                continue
            groups.setdefault(ours if node.reason_is_ours else node.reason, []).append(name)
        chosen: list[str] = []
        for wanted, members in groups.items():
            self.update(members, "state=down", f"reason={wanted}")
            self.update(members, "state=power_down")
            chosen += members
        return tuple(sorted(chosen))

    def bind(self, name: str, address: str, features: Iterable[str]) -> None:
        """Set a node's address and active features, as far as they differ.

        An empty *address* leaves the address as it is.  NodeHostName stays: a worker's slurmd is started with ``-N``.

        :raises LrmsError: for an address that is none, and a feature that is not declared for the node.
        """
        node = self.read([name])[name]
        wanted = frozenset(features)
        changes = []
        if address and address != node.address:
            try:
                changes.append(f"nodeaddr={ip_address(address)}")
            except ValueError as error:
                raise LrmsError(f"{name} cannot be bound: {error}") from error
        if wanted != node.active_features:
            unknown = sorted(wanted - node.features)
            if unknown or not all(_WORD.fullmatch(word) for word in wanted):
                raise LrmsError(
                    f"{name} cannot be bound: slurm.conf declares it no feature {','.join(unknown or sorted(wanted))}"
                    " (clues slurm-config --check)"
                )
            changes.append(f"activefeatures={','.join(sorted(wanted))}")
        if changes:
            self.update([name], *changes)

    def pin(self, job: str, site: str, original: str) -> None:
        """Add *site* to a pending job's constraint *original*; an empty site puts the original back.

        A job that is no longer pending is left alone, and so is a constraint that is neither of the two that we
        know: its user has changed it meanwhile.

        :raises LrmsError: the constraint cannot be combined with a site, or was changed.
        """
        if not JOB_ID.fullmatch(job) or (site and not _WORD.fullmatch(site)):
            raise LrmsError(f"not a job and a site: {job!r}, {site!r}")
        present = self._constraint(job)
        wanted = with_site(original, site) if site else original
        if present is None or present == wanted:
            return
        if site and present != original:
            raise LrmsError(f"job {job} was not pinned to {site}: its constraint is {present!r}, not {original!r}")
        if not site and not _is_pinned(present, original):
            raise LrmsError(f"job {job} was not unpinned: its constraint was changed to {present!r}")
        self.tools.run(["scontrol", "update", f"jobid={job}", f"features={wanted}"])

    def read(self, names: Sequence[str]) -> Mapping[str, Node]:
        """Return these nodes as they are now.

        :raises LrmsError: a name that belongs to no pool, or that Slurm does not know.
        """
        foreign = sorted(set(names) - self.names)
        if foreign:
            raise LrmsError(f"not nodes of a pool, never changed: {', '.join(foreign[:5])}")
        found: dict[str, Node] = {}
        for part in _parts(names):
            text = self.tools.run(["scontrol", "-d", "-o", "show", "node", compress(part)])
            nodes, _ = node_reader.read_nodes(text)
            found.update((name, node) for name, node in nodes.items() if name in set(part))
        missing = [name for name in names if name not in found]
        if missing:
            raise LrmsError(
                f"Slurm does not show {compress(missing[:50])}: is the fragment included? (clues slurm-config --check)"
            )
        return {name: found[name] for name in dict.fromkeys(names)}

    def _held(self, names: Sequence[str]) -> frozenset[str]:
        """Return those of *names* that a job of any live state holds, as squeue tells it."""
        held: set[str] = set()
        for part in _parts(names):
            text = self.tools.run(["squeue", "-a", "-h", "-w", compress(part)], env={"SQUEUE_FORMAT": "%N"})
            for line in text.splitlines():
                held.update(words.hosts(line.strip()))
        return frozenset(held)

    def _constraint(self, job: str) -> str | None:
        """Return a pending job's constraint; None when it is not pending any more."""
        env = {"SQUEUE_FORMAT": "%f"}
        try:
            text = self.tools.run(["squeue", "-a", "-h", "-t", "PD", "-j", job], env=env)
        except LrmsError as error:
            if "Invalid job id" in str(error):
                return None
            raise
        lines = text.splitlines()
        return words.text_or_nothing(lines[0]) if lines else None

    def update(self, names: Sequence[str], *changes: str) -> None:
        """Give these nodes, which were read before, the same changes."""
        for part in _parts(names):
            self.tools.run(["scontrol", "update", f"nodename={compress(part)}", *changes])


def _why_not_open(node: Node) -> str:
    """Return one clause that says why this node may not be opened, empty when it may."""
    checks: tuple[tuple[Callable[[Node], bool], str], ...] = (
        (lambda one: not one.understood, f"has a state that is not known here: {'+'.join(sorted(node.flags))}"),
        (lambda one: not one.closed and "POWERED_DOWN" not in one.flags, ""),
        (lambda one: not one.registered, f"has no slurmd that answers: {'+'.join(sorted(node.flags))}"),
        (lambda one: not one.openable, f"is kept closed: {node.reason}"),
    )
    return next((why for applies, why in checks if applies(node)), "")


def _is_pinned(present: str, original: str) -> bool:
    """Return whether *present* is *original* with some site added by us."""
    site = present.rpartition("&")[2]
    return bool(_WORD.fullmatch(site)) and present == with_site(original, site)


def _parts(names: Sequence[str]) -> list[Sequence[str]]:
    """Cut a long list; one command for all of a gang, which is far shorter."""
    return [names[start : start + _NODES_AT_ONCE] for start in range(0, len(names), _NODES_AT_ONCE)]
