"""Where each secret is, and who may have it.

What a VM gets is decided by cluesd; what a VM of its kind can get at all is decided here. So a cluesd that has been
taken over cannot have the munge key sent to a router.
"""

from __future__ import annotations

from collections.abc import Mapping

from clues.config import LRMS, OVERLAYS, Loaded, Plugins
from clues.errors import AuthFailed, ConfigError
from clues.model import Kind
from clues.places import Places
from clues.ports import Secret, Vault

#: Secrets that a VM of a kind may have.
ALLOWED: Mapping[Kind, frozenset[str]] = {
    Kind.WORKER: frozenset({"munge", "tls-crypt-v2"}),
    Kind.ROUTER: frozenset({"tls-crypt-v2"}),
}

#: The one secret of a central point.
HUB_SECRET = "tls-crypt-v2-server"  # noqa: S105 - its name


def find_vaults(loaded: Loaded, plugins: Plugins, places: Places) -> dict[str, Vault]:
    """Return the vaults of the plugins that are in use, by the names of their secrets."""
    found: dict[str, Vault] = {}
    for group, (name, config), more in ((LRMS, loaded.lrms, ()), (OVERLAYS, loaded.overlay, (places,))):
        vaults = getattr(plugins[group][name], "vaults", None)
        if vaults is not None:
            found.update(vaults(config, *more))
    return found


class Vaults:
    """Opens vaults for those who may."""

    def __init__(self, vaults: Mapping[str, Vault]) -> None:
        self._vaults = vaults

    def for_member(self, kind: Kind, launch_key: str, secret: Secret) -> bytes:
        """Return a secret for a VM.

        :raises AuthFailed: a VM of its kind may not have it.
        :raises ConfigError: it cannot be had.
        """
        if secret.name not in ALLOWED[kind]:
            raise AuthFailed(f"a {kind.value} may not have the secret {secret.name[:64]!r}")
        return self._open(secret.name, launch_key)

    def for_hub(self, name: str) -> bytes:
        """Return the secret of a central point.

        :raises ConfigError: it cannot be had.
        """
        return self._open(HUB_SECRET, name)

    def _open(self, name: str, holder: str) -> bytes:
        vault = self._vaults.get(name)
        if vault is None:
            raise ConfigError(f"there is no secret {name!r}: no plugin of this configuration knows it")
        return vault.open(holder)
