"""What a VM is given when it enrols, put together from what each part wants; and how it is sent on to the signer."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

from clues.model import Claim, Kind
from clues.ports import Provision, Secret

Mount = tuple[str, str, str, str]


def whole(
    claim: Claim,
    lrms: Provision,
    overlay: Provision,
    agent: Provision,
    mounts: Sequence[Mount],
    *,
    accounts: bool = False,
) -> Provision:
    """Return everything for the claim's VM, its services in the order in which they are started.

    A worker that is attached directly reaches nobody before its tunnel is up, and the agent keeps the tunnel: so there
    the agent comes first, and the VM waits for its own address (``TUNNEL``). It comes first, too, where it brings the
    accounts of those whose jobs will run there (``ACCOUNTS``). Elsewhere it comes last: nothing waits for it.

    :param accounts: whether workers get the front-end's users.
    """
    if claim.kind is Kind.ROUTER:
        return overlay.plus(agent)
    shared = Provision(mounts=tuple(mounts))
    awaited = {"TUNNEL": claim.tunnel} if claim.tunnel else {}
    awaited |= {"ACCOUNTS": "yes"} if accounts else {}
    if awaited:
        return overlay.plus(agent).plus(Provision(settings=awaited)).plus(lrms).plus(shared)
    return lrms.plus(shared).plus(overlay).plus(agent)


def to_wire(provision: Provision) -> dict[str, Any]:
    """Return a provision as JSON can hold it."""
    return {
        "files": [[path, mode, base64.b64encode(content).decode()] for path, mode, content in provision.files],
        "settings": dict(provision.settings),
        "services": list(provision.services),
        "secrets": [[one.name, one.path, one.mode] for one in provision.secrets],
        "mounts": [list(one) for one in provision.mounts],
    }


def from_wire(raw: Mapping[str, Any]) -> Provision:
    """Return what :func:`to_wire` was given.

    :raises ValueError: it is not of that form.
    """
    try:
        return Provision(
            files=tuple(
                (str(path), int(mode), base64.b64decode(content, validate=True)) for path, mode, content in raw["files"]
            ),
            settings={str(name): str(value) for name, value in raw["settings"].items()},
            services=tuple(str(one) for one in raw["services"]),
            secrets=tuple(Secret(str(name), str(path), int(mode)) for name, path, mode in raw.get("secrets", ())),
            mounts=tuple((str(a), str(b), str(c), str(d)) for a, b, c, d in raw["mounts"]),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not a provision: {type(error).__name__}") from error
