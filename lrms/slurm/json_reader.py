"""Jobs and nodes from JSON, tolerant of how Slurm's schema moved from 22.05 to 24.11.

A number is an int in 22.05 and ``{"set": true, "infinite": false, "number": 5}`` from 23.02 on; a state is a string,
or a string beside a list of flags, or one list; a list of names is a list or a comma text.  Each kind is read by one
function here, so that the same job and node readers serve all.

JSON cannot be forged by a job's name, and tells a job's true maximum of nodes.  It is slow (ten seconds for 10,000 jobs
on 22.05), so text is what a tick reads where its format is known.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

from clues.model import Job, Node, Resources
from lrms.slurm import words
from lrms.slurm.charges import plain_account
from lrms.slurm.jobs import startable
from lrms.slurm.nodes import read_flag_list, unique
from lrms.slurm.request import Asked, make_request

#: states of a job that waits or holds nodes; squeue's JSON also lists those that have ended
_LIVE = ("COMPLETING", "CONFIGURING", "STAGE_OUT", "SIGNALING", "STOPPED", "SUSPENDED", "RUNNING", "PENDING")
_NOT_SHARED = frozenset({"none", "user", "mcs", "true"})

#: Slurm's words for "no limit" and "not set" in unsigned 32 and 64 bits, where a plain int stands
_UNSET = frozenset({2**32 - 1, 2**32 - 2, 2**64 - 1, 2**64 - 2})


def number(value: Any) -> int | None:
    """Return an int from any of its forms; None where it is not set or infinite.

    :raises ValueError: for something else.
    """
    if isinstance(value, Mapping):
        return None if not value.get("set", True) or value.get("infinite") else number(value.get("number"))
    if value is None or value in ("", "infinite", "unset"):
        return None
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError(f"not a number: {value!r:.60}")  # noqa: TRY004  # one kind of error for all
    found = int(value)
    return None if found in _UNSET or found < 0 else found


def strings(value: Any) -> tuple[str, ...]:
    """Return the words of a list, of a comma text, or of nothing."""
    if isinstance(value, list):
        return tuple(str(item) for item in value)
    if value is None or isinstance(value, str):
        return tuple(word for word in words.text_or_nothing(value or "").split(",") if word)
    raise ValueError(f"not a list of words: {value!r:.60}")


def read_jobs(text: str) -> tuple[list[Job], list[str]]:
    """Return the jobs that wait or run, and what could not be understood.

    :raises ValueError: not the JSON of ``squeue --json``.
    """
    problems: list[str] = []
    records: list[tuple[str, Mapping[str, Any]]] = []
    for record in _listed(text, "jobs"):
        try:
            state = job_state(record.get("job_state"))
        except ValueError as error:
            problems.append(f"job {record.get('job_id')!r:.40} is left out: {error}")
            continue
        if state:
            records.append((state, record))
    running = Counter(number(record.get("array_job_id")) for state, record in records if state != "PENDING" and state)
    jobs: list[Job] = []
    for state, record in records:
        try:
            jobs.append(_job(record, state, running))
        except (KeyError, TypeError, ValueError) as error:
            problems.append(f"job {record.get('job_id')!r:.40} is left out: {error}")
    return jobs, problems


def job_state(value: Any) -> str:
    """Return the state that matters of one or several; empty for a job that has ended."""
    states = set(strings(value))
    return next((state for state in _LIVE if state in states), "")


def read_nodes(text: str) -> tuple[dict[str, Node], list[str]]:
    """Return the nodes by name, and what could not be understood.

    :raises ValueError: not the JSON of ``scontrol show nodes --json`` (or, before 23.02, ``sinfo --json``).
    """
    problems: list[str] = []
    found: list[Node] = []
    for record in _listed(text, "nodes"):
        try:
            found.append(_node(record))
        except (KeyError, TypeError, ValueError) as error:
            problems.append(f"node {record.get('name')!r:.40} is left out: {error}")
    return unique(found, problems), problems


def _listed(text: str, name: str) -> list[Mapping[str, Any]]:
    document = json.loads(text)
    if not isinstance(document, dict) or not isinstance(document.get(name), list):
        raise ValueError(f"Slurm's JSON holds no list of {name}")  # noqa: TRY004  # one kind of error for all
    if document.get("errors"):
        raise ValueError(f"Slurm's JSON tells of errors: {document['errors']!r:.200}")
    return [record for record in document[name] if isinstance(record, dict)]


def _job(record: Mapping[str, Any], state: str, running: Mapping[int | None, int]) -> Job:
    def text(key: str) -> str:
        return words.text_or_nothing(str(record.get(key) or ""))

    def count(key: str) -> int:
        return number(record.get(key)) or 0

    own, array, het = count("job_id"), count("array_job_id"), count("het_job_id")
    if not own:
        raise ValueError("it has no job_id")
    name = f"{het}+{count('het_job_offset')}" if het else str(own)
    startable_now = pending = 1
    task = number(record.get("array_task_id"))
    if array and task is not None:
        name = f"{array}_{task}"
    elif array and text("array_task_string"):
        name = str(array)
        pending, _ = words.array_tasks(text("array_task_string"))
        startable_now = startable(pending, count("array_max_tasks") or None, running.get(array, 0))
    reason = text("state_description") or text("state_reason")
    limit = number(record.get("time_limit"))
    return Job(
        id=name,
        user=text("user_name") or str(count("user_id")),
        state=state,
        reason="" if reason == "None" else reason,
        priority=count("priority"),
        partitions=strings(record.get("partition")),
        request=make_request(_asked(record)),
        count=startable_now,
        count_pending=pending,
        array_id=str(array) if array else "",
        constraint=text("features"),
        wanted_nodes=frozenset(_hosts(record.get("required_nodes"))),
        excluded_nodes=frozenset(_hosts(record.get("excluded_nodes"))),
        reservation=text("resv_name"),
        dependency=text("dependency"),
        licenses=text("licenses"),
        account=plain_account(text("account")),
        qos=plain_account(text("qos")),
        time_limit=None if limit is None else words.time_limit(f"{limit}:00"),
        submitted=words.from_epoch(count("submit_time")),
        eligible=words.from_epoch(count("eligible_time")),
        started=words.from_epoch(count("start_time")) if state != "PENDING" else None,
        expected=words.from_epoch(count("start_time")) if state == "PENDING" else None,
        nodes=_hosts(record.get("nodes")) if state != "PENDING" else (),
        het_id=str(het) if het else "",
    )


def _asked(record: Mapping[str, Any]) -> Asked:
    def count(key: str) -> int:
        return number(record.get(key)) or 0

    def text(key: str) -> str:
        return words.text_or_nothing(str(record.get(key) or ""))

    in_all = words.tres(text("tres_req_str"))
    shared = {word.lower() for key in ("shared", "exclusive") for word in strings_or_bool(record.get(key))}
    nodes_min = int(in_all.get("node", 0)) or count("node_count")
    tasks, cpus = count("tasks") or 1, count("cpus") or int(in_all.get("cpu", 1))
    return Asked(
        tasks=tasks,
        cpus=cpus,
        # 22.05 leaves it unset where the text form shows it
        cpus_per_task=count("cpus_per_task") or cpus // tasks,
        cpus_least_per_node=count("minimum_cpus_per_node"),
        tasks_per_node=count("tasks_per_node"),
        nodes_min=nodes_min,
        nodes_max=count("max_nodes") or None,
        memory_per_node_mib=count("memory_per_node"),
        memory_per_cpu_mib=count("memory_per_cpu"),
        memory_total_mib=words.memory_mib(in_all.get("mem", "")),
        sockets=count("sockets_per_node"),
        tres_per_node=text("tres_per_node"),
        tres_per_job=text("tres_per_job"),
        tres_per_task=text("tres_per_task"),
        tres_per_socket=text("tres_per_socket"),
        cpus_per_tres=text("cpus_per_tres"),
        memory_per_tres=text("memory_per_tres"),
        exclusive=bool(shared & _NOT_SHARED),
    )


def strings_or_bool(value: Any) -> tuple[str, ...]:
    """Return words of a list or text, or the word for a boolean (``exclusive`` has been all three)."""
    return (str(value),) if isinstance(value, bool) else strings(value)


def _hosts(value: Any) -> tuple[str, ...]:
    return tuple(str(item) for item in value) if isinstance(value, list) else words.hosts(str(value or ""))


def _node(record: Mapping[str, Any]) -> Node:
    def count(key: str) -> int:
        return number(record.get(key)) or 0

    def text(key: str) -> str:
        return words.text_or_nothing(str(record.get(key) or ""))

    # "state" alone from 23.02 on, a base state beside "state_flags" before
    flags = read_flag_list((*strings(record.get("state")), *strings(record.get("state_flags"))))
    if not flags or not text("name"):
        raise ValueError("it has no name or no state")
    return Node(
        name=text("name"),
        flags=flags,
        capacity=Resources(count("effective_cpus") or count("cpus"), count("real_memory"), words.gpus(text("gres"))),
        used=Resources(count("alloc_cpus"), count("alloc_memory"), words.gpus(text("gres_used"))),
        features=frozenset(strings(record.get("features"))),
        active_features=frozenset(strings(record.get("active_features"))),
        partitions=frozenset(strings(record.get("partitions"))),
        address=text("address"),
        reason=" ".join(text("reason").splitlines()),
        slurmd_started=None if "POWERED_DOWN" in flags else words.from_epoch(count("slurmd_start_time")),
        last_busy=words.from_epoch(count("last_busy")),
    )
