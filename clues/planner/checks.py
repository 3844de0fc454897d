"""Whether a worker is what was ordered: looked at before its node is opened, so that no job ever meets a wrong one."""

from __future__ import annotations

from clues.model import ANY_GPU, Facts, Pace, Resources


def check_facts(facts: Facts, shape: Resources, pace: Pace) -> list[str]:
    """Return a sentence for everything that a worker lacks against its shape; empty when it may be opened.

    The operating system and the firmware keep part of the memory, so ``pace.memory_share`` of the shape's is enough.
    GPUs that the worker could not name count for any type.
    """
    faults = []
    if facts.cpus < shape.cpus:
        faults.append(f"it has {facts.cpus} CPUs, the shape wants {shape.cpus}")
    least = int(shape.memory_mib * pace.memory_share)
    if facts.memory_mib < least:
        faults.append(f"it has {facts.memory_mib} MiB of memory, the shape wants at least {least}")
    found = {gpu.type: gpu.count for gpu in facts.gpus.gpus}
    unnamed = found.get(ANY_GPU, 0)
    for gpu in shape.gpus:
        have = facts.gpus.gpu_count if gpu.type == ANY_GPU else found.get(gpu.type, 0)
        if gpu.type != ANY_GPU and have < gpu.count:
            used = min(unnamed, gpu.count - have)
            have, unnamed = have + used, unnamed - used
        if have < gpu.count:
            faults.append(f"it has {have} GPUs {gpu.type}".rstrip() + f", the shape wants {gpu.count}")
    skew = facts.clock_skew_seconds
    if abs(skew) > pace.clock_skew.total_seconds():
        faults.append(
            f"its clock is {abs(skew):.0f} s {'ahead' if skew > 0 else 'behind'}; munge would refuse its jobs"
        )
    return faults
