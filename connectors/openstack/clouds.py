"""An entry of ``clouds.yaml``, as OpenStack's own tools read it, or of the environment's ``OS_*`` variables.

Three things are otherwise than there. The current folder is not searched: a daemon stands in no particular one. A file
with a secret that others can read is refused. And so is ``verify: false``: who may pose as the cloud gets the
credentials, and then the VMs' tickets.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

import yaml

from clues.errors import AuthFailed
from connectors.common import credentials

#: where a folder is meant, these are tried in it
_NAMES = ("clouds.yaml", "clouds.yml", "clouds.json")
_FOLDERS = (Path("~/.config/openstack"), Path("/etc/openstack"))
_LARGEST = 2**20

#: keys of ``auth``, and what they are called besides
_AUTH_KEYS = {
    "auth_url": (),
    "username": ("user_name",),
    "user_id": (),
    "password": (),
    "user_domain_name": (),
    "user_domain_id": (),
    "project_name": ("tenant_name",),
    "project_id": ("tenant_id",),
    "project_domain_name": (),
    "project_domain_id": (),
    "domain_name": (),
    "domain_id": (),
    "default_domain": (),
    "application_credential_id": (),
    "application_credential_name": (),
    "application_credential_secret": (),
    "identity_provider": (),
    "protocol": (),
    "access_token": (),
    "token": (),
}
_SECRETS = frozenset({"password", "application_credential_secret", "access_token", "token"})
_SERVICES = ("compute", "network", "image")
_YES = frozenset({"1", "true", "yes", "on"})
_NO = frozenset({"0", "false", "no", "off"})


class Method(StrEnum):
    """How a login proves who it is."""

    PASSWORD = "password"  # noqa: S105 - the name of a method
    APPLICATION_CREDENTIAL = "application_credential"
    OIDC = "oidc"
    TOKEN = "token"  # noqa: S105 - the name of a method


#: by ``auth_type``
_METHODS = {
    "password": Method.PASSWORD,
    "v3password": Method.PASSWORD,
    "v3applicationcredential": Method.APPLICATION_CREDENTIAL,
    "v3oidcaccesstoken": Method.OIDC,
    "token": Method.TOKEN,
    "v3token": Method.TOKEN,
}
_NEEDS: dict[Method, tuple[str, ...]] = {
    Method.PASSWORD: ("password",),
    Method.APPLICATION_CREDENTIAL: ("application_credential_secret",),
    Method.OIDC: ("identity_provider", "protocol"),
    Method.TOKEN: ("token",),
}


@dataclass(frozen=True, slots=True)
class Entry:
    """One cloud: where it is, and what a login needs."""

    #: where it was found, for messages
    source: str
    method: Method
    #: without the version at its end
    auth_url: str
    auth: Mapping[str, str] = field(repr=False)
    region: str = ""
    interface: str = "public"
    #: a file of CA certificates; empty: the system's
    cacert: str = ""
    #: client certificate and key
    client_cert: tuple[str, str] | None = None
    #: endpoints by service that are not those of the catalog
    endpoints: Mapping[str, str] = field(default_factory=dict)


def read(cloud: str, file: str = "", *, has_oidc: bool = False, environ: Mapping[str, str] = os.environ) -> Entry:
    """Return the entry of this name.

    :param cloud: empty: what the environment says (``OS_CLOUD``, ``OS_AUTH_URL``), or the only entry of the file.
    :param file: a path or the name of a systemd credential; empty: the usual places.
    :param has_oidc: access tokens come from elsewhere.
    :raises AuthFailed: there is none, or it cannot be used; the text says what to mend.
    """
    cloud = cloud or environ.get("OS_CLOUD", "")
    if not cloud and not file and environ.get("OS_AUTH_URL"):
        return _entry("the environment's OS_* variables", _from_environment(environ), has_oidc)
    found = credentials.find(file, environ) if file else next(_existing(environ), None)
    if found is None:
        raise AuthFailed(
            "no clouds.yaml is there: put one into ~/.config/openstack of cluesd's user or into /etc/openstack, or "
            "give it to the service with LoadCredential=clouds.yaml:PATH"
        )
    public = _File(found)
    secret = _File(beside) if (beside := _secure(found, environ)) is not None else None
    name = cloud or public.only()
    raw = public.cloud(name)
    merged = _merge(raw, secret.cloud(name, missing=True)) if secret is not None else raw
    for part in (public, secret):
        if part is not None and not part.private and _has_secret(part.cloud(name, missing=True)):
            raise AuthFailed(
                f"{part.path} has a secret in it and can be read by others: `chmod 600 {part.path}`, and change the "
                "secret: who has read it so far cannot be known"
            )
    return _entry(f"cloud {name} in {found}", merged, has_oidc)


# --- files ----------------------------------------------------------------------------------------------------------


def _existing(environ: Mapping[str, str]) -> Iterator[Path]:
    """Yield the files that are there, in the order in which they count."""
    candidates = []
    if given := environ.get("OS_CLIENT_CONFIG_FILE"):
        candidates.append(Path(given).expanduser())
    candidates += [credentials.find("clouds.yaml", environ)]
    candidates += [folder.expanduser() / name for folder in _FOLDERS for name in _NAMES]
    yield from (path for path in candidates if path.is_file())


def _secure(beside: Path, environ: Mapping[str, str]) -> Path | None:
    """Return the file whose secrets are merged into the other."""
    given = environ.get("OS_CLIENT_SECURE_FILE")
    candidates = [Path(given).expanduser()] if given else []
    candidates += [beside.with_name("secure.yaml"), *(folder.expanduser() / "secure.yaml" for folder in _FOLDERS)]
    return next((path for path in candidates if path.is_file()), None)


class _File:
    """A clouds.yaml or a secure.yaml."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            with path.open("rb") as file:
                mode = os.fstat(file.fileno()).st_mode
                content = file.read(_LARGEST + 1)
        except OSError as error:
            raise AuthFailed(f"{path}: {error.strerror}: cluesd's user has to be able to read it") from error
        if len(content) > _LARGEST:
            raise AuthFailed(f"{path} is larger than any list of clouds")
        # systemd gives credentials as 0440 with an ACL for the one user: its folder lets nobody else in
        ours = path.parent == Path(os.environ.get("CREDENTIALS_DIRECTORY", "/nonexistent"))
        self.private = ours or not stat.S_IMODE(mode) & 0o077
        loaded, wrong = _load(content)
        if wrong:
            raise AuthFailed(f"{path} is not YAML{wrong}")
        clouds = loaded.get("clouds") if isinstance(loaded, dict) else None
        if not isinstance(clouds, dict):
            raise AuthFailed(f"{path} has no list `clouds:`")
        self._clouds = clouds

    def only(self) -> str:
        """Return the name of the only entry."""
        names = sorted(map(str, self._clouds))
        if len(names) != 1:
            raise AuthFailed(f"{self.path} has {len(names)} clouds: write the site's `cloud`: {', '.join(names)}")
        return names[0]

    def cloud(self, name: str, *, missing: bool = False) -> dict[str, Any]:
        """Return an entry; where it may be *missing*, an empty one."""
        entry = self._clouds.get(name)
        if isinstance(entry, dict):
            return entry
        if missing:
            return {}
        names = ", ".join(sorted(map(str, self._clouds)))
        raise AuthFailed(f"{self.path} has no cloud {name!r}; it has: {names}")


def _load(content: bytes) -> tuple[Any, str]:
    """Return what stands there, or where it is no YAML. The parser's own error shows the line, where a secret may
    stand: it is not even to be the context of ours."""
    try:
        return yaml.safe_load(content), ""
    except (yaml.YAMLError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        return None, f" in line {mark.line + 1}" if mark is not None else " at all"


def _merge(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(under)
    for key, value in over.items():
        below = merged.get(key)
        merged[key] = _merge(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return merged


def _has_secret(raw: Mapping[str, Any]) -> bool:
    inner = raw.get("auth")
    auth = inner if isinstance(inner, dict) else {}
    return any(key in raw or key in auth for key in _SECRETS)


# --- what stands in it ----------------------------------------------------------------------------------------------


def _from_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    raw: dict[str, Any] = {"auth": {}}
    for key, others in _AUTH_KEYS.items():
        for name in (key, *others):
            if value := environ.get(f"OS_{name.upper()}"):
                raw["auth"][key] = value
    for key in ("auth_type", "region_name", "interface", "endpoint_type", "cacert", "cert", "key", "insecure"):
        if value := environ.get(f"OS_{key.upper()}"):
            raw[key] = value
    return raw


def _entry(source: str, raw: Mapping[str, Any], has_oidc: bool) -> Entry:
    inner = raw.get("auth", {})
    auth_raw = inner if isinstance(inner, dict) else {}
    auth: dict[str, str] = {}
    for key, others in _AUTH_KEYS.items():
        for name in (*others, key):
            # a name such as 0815 is a number to YAML
            for place in (raw, auth_raw):
                if isinstance(value := place.get(name), str | int) and not isinstance(value, bool) and value != "":
                    auth[key] = str(value)
    _refuse_untrusting(source, raw)
    if "auth_url" not in auth:
        hint = " (`profile` and `vendor` are not followed)" if raw.keys() & {"profile", "cloud", "vendor"} else ""
        raise AuthFailed(f"{source} has no auth_url{hint}: write keystone's URL there")
    method = _method(source, raw, auth)
    needs = _NEEDS[method] if not (method is Method.OIDC and has_oidc) else ("identity_provider", "protocol")
    if method is Method.OIDC and not has_oidc:
        needs = (*needs, "access_token")
    missing = [key for key in needs if key not in auth]
    if missing:
        raise AuthFailed(f"{source} lacks {', '.join(missing)}")
    return Entry(
        source,
        method,
        _without_version(auth.pop("auth_url")),
        auth,
        _region(raw),
        _interface(source, raw),
        _path(raw, "cacert"),
        (_path(raw, "cert"), _path(raw, "key")) if raw.get("cert") else None,
        {
            service: str(raw[f"{service}_endpoint_override"])
            for service in _SERVICES
            if raw.get(f"{service}_endpoint_override")
        },
    )


def _method(source: str, raw: Mapping[str, Any], auth: Mapping[str, str]) -> Method:
    told = raw.get("auth_type")
    if told:
        try:
            return _METHODS[str(told)]
        except KeyError:
            raise AuthFailed(
                f"{source}: auth_type {told} is not known here; there are: {', '.join(_METHODS)}"
            ) from None
    if "application_credential_secret" in auth:
        return Method.APPLICATION_CREDENTIAL
    return Method.OIDC if "identity_provider" in auth else Method.PASSWORD


def _refuse_untrusting(source: str, raw: Mapping[str, Any]) -> None:
    off = str(raw.get("verify", "true")).lower() in _NO or str(raw.get("insecure", "false")).lower() in _YES
    if off:
        raise AuthFailed(
            f"{source} switches the check of the cloud's certificate off (verify or insecure): take that out, and name "
            "the cloud's CA under `cacert`"
        )


def _region(raw: Mapping[str, Any]) -> str:
    if raw.get("region_name"):
        return str(raw["region_name"])
    regions = raw.get("regions")
    if not isinstance(regions, list) or not regions:
        return ""
    names = [str(one.get("name", "")) if isinstance(one, dict) else str(one) for one in regions]
    # several are no mistake: the site may name one
    return names[0] if len(names) == 1 else ""


def _interface(source: str, raw: Mapping[str, Any]) -> str:
    told = str(raw.get("interface") or raw.get("endpoint_type") or "public").removesuffix("URL")
    if told not in {"public", "internal", "admin"}:
        raise AuthFailed(f"{source}: interface {told} is not known; there are: public, internal, admin")
    return told


def _path(raw: Mapping[str, Any], key: str) -> str:
    return str(Path(str(raw[key])).expanduser()) if raw.get(key) else ""


def _without_version(url: str) -> str:
    url = url.rstrip("/")
    for version in ("/v3", "/v2.0"):
        url = url.removesuffix(version)
    return url
