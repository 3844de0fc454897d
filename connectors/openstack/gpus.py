"""The GPUs of a flavor, which nova only knows as devices that its extra specs ask for."""

from __future__ import annotations

import re
from collections.abc import Mapping

from clues.model import Gpu, make_gpus

#: models as operators have them in their aliases: ``a100-80g``, ``nvidia_l40s``, ``pci-h100``
_MODEL = re.compile(
    r"(?:^|[^a-z0-9])(a2|a10|a16|a30|a40|a100|b100|b200|gb200|h100|h200|l4|l40|l40s|t4|v100|p4|p40|p100|k80|mi\d{2,3}x?|"
    r"rtx\d{4})(?:[^a-z0-9]|$)"
)
#: resource classes that are GPUs whatever they are called
_CLASSES = frozenset({"VGPU", "PGPU"})


def gpus_of(specs: Mapping[str, str], types: Mapping[str, str]) -> tuple[Gpu, ...]:
    """Return the GPUs that a flavor with these extra specs has.

    :param types: Slurm's name for them by alias or resource class. An alias that is not in it counts if a known model's
        name is in it: a flavor may ask for other devices, too.
    """
    found = []
    for wish in str(specs.get("pci_passthrough:alias", "")).split(","):
        alias, _, count = wish.strip().rpartition(":")
        kind = types.get(alias) or _guess(alias)
        if kind and count.isdigit():
            found.append(Gpu(kind, int(count)))
    for key, value in specs.items():
        # resources:VGPU, or resources1:VGPU in a group of its own
        match = re.fullmatch(r"resources[0-9A-Za-z_-]*:(\w+)", key)
        if match and str(value).isdigit() and (match[1] in types or match[1] in _CLASSES):
            found.append(Gpu(types.get(match[1], ""), int(value)))
    return make_gpus(found)


def _guess(alias: str) -> str:
    match = _MODEL.search(alias.lower())
    return match[1] if match else ""
