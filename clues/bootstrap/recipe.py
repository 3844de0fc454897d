"""What VMs are told at their boot, as a short fingerprint: whether a VM would be made otherwise today.

It covers what comes from the configuration and from clues itself: the two scripts of the boot, hooks with their
content, checks. It leaves out what is another for each VM (tickets, names) and what the agent keeps in step on VMs
that run (names, accounts, the CA, the network). It is taken when the configuration is read: a hook that is changed
later counts from the next reload on.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace

from clues import templates
from clues.bootstrap.boot import read_hook
from clues.config.values import Workers
from clues.errors import ConfigError
from clues.model import Pool, Settings


def with_recipes(settings: Settings, workers: Workers) -> Settings:
    """Return *settings* whose pools know the fingerprints of their boots, by site."""
    pools = {name: replace(pool, recipes=_recipes(pool, workers)) for name, pool in settings.pools.items()}
    return replace(settings, pools=pools)


def _recipes(pool: Pool, workers: Workers) -> Mapping[str, str]:
    return {site: recipe for site in pool.sites if (recipe := _recipe(pool, site, workers))}


def _recipe(pool: Pool, site: str, workers: Workers) -> str:
    """Return the fingerprint; empty when it cannot be told now, since a hook cannot be read."""
    parts = [templates.read("user-data.sh").encode(), templates.read("boot.sh").encode()]
    parts.append(templates.read("guard.sh").encode() if workers.guard_metadata else b"")
    parts.append(repr(workers.dead_man).encode())
    if pool.shape.gpus and workers.gpus.check:
        parts += [templates.read("check-gpus.sh").encode(), repr(workers.gpus).encode()]
    try:
        for hook in workers.hooks:
            if hook.runs_at(site, pool.name):
                parts += [f"{hook.name} {hook.timeout} {hook.required}".encode(), read_hook(hook)]
    except ConfigError:
        return ""
    return hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()[:16]
