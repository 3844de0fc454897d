"""From the configuration file to what a central point and its broker are told."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable
from pathlib import Path

from clues.config import Loaded, load
from clues.errors import ConfigError, Transient
from clues.registry import find_plugins
from vrouter.hub.settings import HubSettings
from vrouter.options import OpenVpnConfig

log = logging.getLogger(__name__)


def settings_from(path: Path, name: str = "") -> HubSettings:
    """Return the settings of one central point.

    :param name: as the configuration calls it; empty: the first one.
    :raises ConfigError: the file cannot be used, or has no such central point.
    :raises Transient: cluesd has never run here.
    """
    loaded = load(path, find_plugins())
    config = loaded.overlay[1]
    if not isinstance(config, OpenVpnConfig):
        raise ConfigError(f"{path}: overlay.type is {loaded.overlay[0]!r}, which has no central point")
    points = config.central_points()
    if not points or config.tunnels is None:
        raise ConfigError(f"{path}: overlay.public is missing, so that no site could reach a central point")
    number = next((at for at, one in enumerate(points) if one.name == (name or points[0].name)), None)
    if number is None:
        known = ", ".join(one.name for one in points)
        raise ConfigError(f"{path}: there is no central point {name!r}; there is: {known}")
    return HubSettings(
        cluster=_cluster(loaded),
        places=loaded.places,
        name=points[number].name,
        port=points[number].port,
        network=config.whole,
        transit=config.tunnels,
        services=tuple((one.protocol, one.first, one.last) for one in loaded.services),
        exports=any(not one.server for one in loaded.shares),
        number=number,
        renegotiate=int(config.renegotiate.total_seconds()),
    )


def settings_when_known(path: Path, name: str, sleep: Callable[[float], object]) -> HubSettings:
    """Return the settings once cluesd has run here for the first time; say so when that has to be waited for.

    :raises ConfigError: as for :func:`settings_from`.
    """
    told = False
    while True:
        try:
            return settings_from(path, name)
        except Transient as error:
            if not told:
                log.warning("waits: %s", error)
            told = True
            sleep(0.5)


def _cluster(loaded: Loaded) -> str:
    path = loaded.state / "cluster-id"
    try:
        return str(uuid.UUID(path.read_text(encoding="ascii").strip()))
    except FileNotFoundError:
        raise Transient(f"{path} is not there yet: start cluesd, it makes it") from None
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from error
