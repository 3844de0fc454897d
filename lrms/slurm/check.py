"""The fragments against the running controller: one sentence for each difference, with its cure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from clues.hostlist import compress
from clues.model import Node, Settings
from lrms.slurm import fragment, programs, saving, words
from lrms.slurm.reservations import Partition

_NUMBER = re.compile(r"[0-9]+")
_RANGE = re.compile(r"([0-9]{1,5})-([0-9]{1,5})")


@dataclass(frozen=True, slots=True)
class Rule:
    """One setting of slurm.conf that clues relies on."""

    name: str
    holds: Callable[[str], bool]
    cure: str


def _words(value: str) -> set[str]:
    return {word.strip().lower() for word in value.split(",")}


def _number(value: str) -> int:
    match = _NUMBER.match(value)
    return int(match[0]) if match else -1


_LONG = 10 * 365 * 86400  # no idle node is ever suspended by Slurm itself

RULES = (
    Rule("PrivateData", lambda value: "cloud" in _words(value), "add cloud: powered-down nodes are hidden without it"),
    Rule(
        "ReturnToService",
        lambda value: value == "1",
        "set it to 1: with 2 an unchecked worker gets jobs, with 0 a lost one stays out",
    ),
    Rule(
        "SlurmctldParameters",
        lambda value: {"enable_configless", "power_save_interval=1", "power_save_min_interval=0"} <= _words(value),
        "add enable_configless, power_save_interval=1 and power_save_min_interval=0",
    ),
    Rule(
        "SlurmctldParameters",
        lambda value: "idle_on_node_suspend" not in _words(value),
        "remove idle_on_node_suspend: it opens nodes that are off",
    ),
    Rule(
        "SuspendTime",
        lambda value: _number(value) >= _LONG,
        f"set it to {fragment.SUSPEND_TIME}: after less Slurm suspends nodes by itself, with INFINITE it keeps no book",
    ),
    Rule("SuspendProgram", lambda value: bool(words.text_or_nothing(value)), "set it as clues slurm-config prints it"),
    Rule("ResumeProgram", lambda value: bool(words.text_or_nothing(value)), "set it as clues slurm-config prints it"),
    Rule("CommunicationParameters", lambda value: "block_null_hash" in _words(value), "add block_null_hash"),
    Rule(
        "LaunchParameters",
        lambda value: "disable_send_gids" not in _words(value),
        "remove disable_send_gids: a worker need not know the groups of a job's user",
    ),
)


def differences(
    settings: Settings,
    config: Mapping[str, str],
    nodes: Mapping[str, Node],
    partitions: Iterable[Partition],
    *,
    srun_ports: str = fragment.SRUN_PORTS,
    timeout: int | None = None,
    clean: bool = False,
) -> list[str]:
    """Return one sentence for each difference; empty when all is as it should be.

    :param srun_ports: the ports that workers are let through to, for srun.
    :param timeout: seconds: SlurmdTimeout as the configuration wants it; None: what suits the sites.
    :param clean: whether workers are to be cleaned between users. A site's own programs may run those of clues.
    """
    found = []
    for rule in RULES:
        value = config.get(rule.name.lower(), "")
        if not rule.holds(value):
            found.append(f"slurm.conf: {rule.name} is {value or 'not set'}: {rule.cure}")
    found += [*_timeout_difference(settings, config, timeout), *_srun_difference(config, srun_ports)]
    found += _cleaning_differences(config) if clean else []
    width = _number(config.get("treewidth", ""))
    count = sum(len(pool.nodes) for pool in settings.pools.values())
    if width < count:
        found.append(
            f"slurm.conf: TreeWidth is {width}: set it to {fragment.TREE_WIDTH}, workers need not reach each other"
        )
    for line in fragment.node_lines(settings):
        found += _node_differences(line, nodes)
    have = {partition.name: partition for partition in partitions}
    power = {name: partition.power for name, partition in have.items()}
    found += saving.differences(settings, config, power, fragment.SUSPEND_TIMEOUT)
    for name, wanted in fragment.partitions(settings).items():
        partition = have.get(name)
        if partition is None:
            found.append(f"partition {name} is not known to slurmctld: include {fragment.SLURM_FILE} and restart it")
            continue
        if not partition.up:
            found.append(f"partition {name} is not up: scontrol update partitionname={name} state=up")
        missing = set(wanted) - set(partition.nodes)
        if missing:
            found.append(
                f"partition {name} lacks {compress(missing)}: generate {fragment.SLURM_FILE} again, restart slurmctld"
            )
    return found


def _timeout_difference(settings: Settings, config: Mapping[str, str], wanted: int | None) -> list[str]:
    """Tell when slurmctld gives up workers, and with them their jobs, sooner than it should."""
    value = config.get("slurmdtimeout", "")
    seconds = _number(value)
    least = fragment.slurmd_timeout(settings) if wanted is None else wanted
    if seconds == 0 or seconds >= least:
        return []
    remote = fragment.remote_sites(settings)
    # slurmctld may have last heard of a node a third of the timeout before the cut.
    lasting = f"{seconds * 2 // 3} s" if seconds > 0 else "unknown length"
    lost = f"jobs at {', '.join(remote)} would be lost in a cut of {lasting}" if remote else (
        "a network cut of five minutes ends jobs otherwise"
    )  # fmt: skip
    return [f"slurm.conf: SlurmdTimeout is {value or 'not set'}: set it to {least}: {lost}"]


def _cleaning_differences(config: Mapping[str, str]) -> list[str]:
    """Tell which of the programs that clean workers slurmd would not run."""
    return [
        f"slurm.conf: {what} is not set: set it to {path}, or to a program of yours that runs it (lrms.clean)"
        for what, path in (("Prolog", programs.PROLOG), ("Epilog", programs.EPILOG))
        if not programs.named_in(config, (what.lower(),))
    ]


def _srun_difference(config: Mapping[str, str], wanted: str) -> list[str]:
    """Tell when srun may listen on ports that workers are not let through to."""
    value = config.get("srunportrange", "")
    match = _RANGE.fullmatch(value.strip())
    first, last = (int(port) for port in wanted.split("-"))
    if match is not None and first <= int(match[1]) <= int(match[2]) <= last:
        return []
    cure = f"set it to {wanted}, and open these ports to the workers"
    if match is not None:
        cure += f" (or set lrms.srun_ports to {value.strip()})"
    return [f"slurm.conf: SrunPortRange is {value or 'not set'}: {cure}"]


def _node_differences(line: fragment.NodeLine, nodes: Mapping[str, Node]) -> list[str]:
    """Tell of one pool: nodes that are alike in what is wrong share a sentence."""
    missing = [name for name in line.nodes if name not in nodes]
    found = []
    if missing:
        found.append(
            f"pool {line.pool}: {compress(missing)} not known to slurmctld: include {fragment.SLURM_FILE}, restart it"
        )
    wrong: dict[str, list[str]] = {}
    features = frozenset(line.features)
    for name in line.nodes:
        node = nodes.get(name)
        if node is None:
            continue
        for what, is_, wanted in (
            ("CPUs", node.capacity.cpus, line.cpus),
            ("RealMemory", node.capacity.memory_mib, line.memory_mib),
            ("Gres", node.capacity.gpus, words.gpus(line.gres)),
        ):
            if is_ != wanted:
                wrong.setdefault(f"{what} is {_shown(is_)}, clues.yaml says {_shown(wanted)}", []).append(name)
        if not features <= node.features:
            lacking = ",".join(sorted(features - node.features))
            wrong.setdefault(f"Feature lacks {lacking}", []).append(name)
        if "CLOUD" not in node.flags:
            wrong.setdefault("State is not CLOUD", []).append(name)
    found += [
        f"pool {line.pool}: {what} ({compress(names)}): generate {fragment.SLURM_FILE} again, restart slurmctld"
        for what, names in wrong.items()
    ]
    return found


def _shown(value: object) -> str:
    if isinstance(value, tuple):
        return ",".join(f"gpu:{gpu.type}:{gpu.count}" if gpu.type else f"gpu:{gpu.count}" for gpu in value) or "none"
    return str(value)
