"""Requests and templates for the tests of this folder."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clues.model import Kind, LaunchRequest, Offer, Resources
from connectors.opennebula.records import Image, Network, Template

SCRIPT = '#!/bin/sh\n[ "$HOME" ] && echo "it\'s $NAME]"\n'
CLUSTER = "6f1d7c1e-0000-4000-8000-00000000000a"


def request(**changes: Any) -> LaunchRequest:
    """Return a request for a worker."""
    asked: dict[str, Any] = {
        "cluster": CLUSTER,
        "launch_key": "key-1",
        "kind": Kind.WORKER,
        "node": "cpu-001",
        "pool": "cpu",
        "generation": 3,
        "offer": Offer("upv", "medium", "clues-worker"),
        "shape": Resources(4, 8192),
        "user_data": SCRIPT,
        "address": "10.77.2.10",
    }
    return LaunchRequest(**{**asked, **changes})


def template(*attributes: tuple[str, str | Mapping[str, str]]) -> Template:
    """Return a VM template."""
    return Template(0, "medium", 0, "oneadmin", attributes)


IMAGE = Image(7, "clues-worker", 0, "oneadmin", (), state=1, size_mb=4096)
NETWORK = Network(5, "clues-net", 0, "oneadmin", (), ranges=(("10.77.2.2", 250),), used=0)
