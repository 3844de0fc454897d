"""May this worker be opened? What it found in itself, held against what its node promises to Slurm.

Looked at before its node is opened, so that no job ever meets a worker that is less than was ordered.
"""

from __future__ import annotations

from clues.model import ANY_GPU, Facts, Pace, Resources


def check_facts(facts: Facts, shape: Resources, pace: Pace) -> list[str]:
    """Return why a worker must not be opened, one sentence each that names found and wanted; empty when it
    may.

    More than wanted is no reason: Slurm uses what the node declares.
    """
    reasons = []
    if facts.cpus < shape.cpus:
        reasons.append(f"it has {facts.cpus} CPUs, {shape.cpus} are wanted")
    least = int(shape.memory_mib * pace.memory_share)
    if facts.memory_mib < least:
        reasons.append(
            f"it has {facts.memory_mib} MiB of memory, at least {least} are wanted"
            f" ({pace.memory_share:.0%} of {shape.memory_mib} MiB)"
        )
    if not _has_gpus(facts.gpus, shape):
        reasons.append(f"it has {_show_gpus(facts.gpus)}, {_show_gpus(shape)} wanted")
    if not abs(facts.clock_skew_seconds) <= pace.clock_skew.total_seconds():  # so written, NaN is refused, too
        way = "ahead" if facts.clock_skew_seconds > 0 else "behind"
        reasons.append(
            f"its clock is {abs(facts.clock_skew_seconds):.0f} s {way},"
            f" at most {pace.clock_skew.total_seconds():.0f} s are allowed"
        )
    return reasons


def _has_gpus(found: Resources, wanted: Resources) -> bool:
    """GPUs that a worker could count but not name (a device file has no type) may be of any type that is
    lacking."""
    named = {gpu.type: gpu.count for gpu in found.gpus}
    nameless = named.pop(ANY_GPU, 0)
    lacking = sum(max(0, gpu.count - named.get(gpu.type, 0)) for gpu in wanted.gpus if gpu.type != ANY_GPU)
    return lacking <= nameless and found.gpu_count >= wanted.gpu_count


def _show_gpus(resources: Resources) -> str:
    names = [f"{gpu.count} GPU{'' if gpu.count == 1 else 's'} {gpu.type}".rstrip() for gpu in resources.gpus]
    return " and ".join(names) or "no GPU"
