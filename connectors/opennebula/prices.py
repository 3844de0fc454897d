"""What a VM of a template has, and what it costs by the site's own reckoning.

A template may have costs of a CPU, of a MiB of memory and of a MiB of disk for one hour; OpenNebula's showback adds
them up the same way. They are in no currency: what they are worth is the site's word, in the configuration.
"""

from __future__ import annotations

import math

from clues.model import Gpu, Resources, make_gpus
from connectors.opennebula.records import Template

#: PCI classes of GPUs: VGA compatible, 3D controller, other display controller.
_GPU_CLASSES = ("0300", "0302", "0380")
_COSTS = ("CPU_COST", "MEMORY_COST", "DISK_COST")


def resources_of(template: Template) -> Resources:
    """Return what a VM of this template shows. Without VCPU it has one, whatever share of a CPU it is given."""
    gpus = [one for one in template.vectors("PCI") if one.get("CLASS", "").lower().removeprefix("0x") in _GPU_CLASSES]
    cpus = max(1, math.floor(template.number("VCPU", 1.0)))
    return Resources(cpus, math.floor(template.number("MEMORY")), make_gpus([Gpu("", len(gpus))]))


def price_of(template: Template) -> float | None:
    """Return what an hour costs; None where the template has no costs. Disks count where they say their own size."""
    if not any(template.text(name) for name in _COSTS):
        return None
    disk = sum(float(size) for one in template.vectors("DISK") if (size := one.get("SIZE", "")).isdecimal())
    amounts = (template.number("CPU"), template.number("MEMORY"), disk)
    price = sum(template.number(name) * amount for name, amount in zip(_COSTS, amounts, strict=True))
    return price if math.isfinite(price) and price >= 0 else None
