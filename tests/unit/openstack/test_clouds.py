"""clouds.yaml and the environment: which file counts, what an entry amounts to, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from clues.errors import AuthFailed
from connectors.openstack import clouds
from connectors.openstack.clouds import Method, read

SECRET = "s3cret-of-the-cloud"
PASSWORD = {"auth_url": "https://keystone.example:5000/v3", "username": "u", "password": SECRET, "project_name": "p"}


def write(path: Path, entries: dict[str, Any], mode: int = 0o600) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"clouds": entries}))
    path.chmod(mode)
    return path


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home, with no other place where a clouds.yaml could lie."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    monkeypatch.setattr(clouds, "_FOLDERS", (Path("~/.config/openstack"), tmp_path / "etc"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "home"


def test_the_first_file_in_the_order_of_places_counts_and_the_current_folder_is_none(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def url_of(number: int) -> dict[str, Any]:
        return {"mine": {"auth": PASSWORD | {"auth_url": f"https://{number}.example/v3"}}}

    write(tmp_path / "clouds.yaml", url_of(0))
    with pytest.raises(AuthFailed, match=r"no clouds\.yaml is there"):
        read("mine", environ={})
    places = [
        ({}, tmp_path / "etc" / "clouds.yaml"),
        ({}, home / ".config/openstack/clouds.yaml"),
        ({"CREDENTIALS_DIRECTORY": str(tmp_path / "credentials")}, tmp_path / "credentials" / "clouds.yaml"),
        ({"OS_CLIENT_CONFIG_FILE": str(tmp_path / "mine.yaml")}, tmp_path / "mine.yaml"),
    ]
    environ: dict[str, str] = {}
    for number, (more, path) in enumerate(places, 1):
        environ |= more
        write(path, url_of(number))
        assert read("mine", environ=environ).auth_url == f"https://{number}.example"
    assert read("mine", str(tmp_path / "etc" / "clouds.yaml"), environ=environ).auth_url == "https://1.example"


def test_secrets_are_merged_from_secure_yaml_so_that_the_rest_may_be_public(home: Path, tmp_path: Path) -> None:
    public = {key: value for key, value in PASSWORD.items() if key != "password"}
    path = write(tmp_path / "c" / "clouds.yaml", {"mine": {"auth": public, "region_name": "R"}}, 0o644)
    write(tmp_path / "c" / "secure.yaml", {"mine": {"auth": {"password": SECRET}}, "other": {}})
    entry = read("mine", str(path), environ={})
    assert (entry.auth["password"], entry.auth["username"], entry.region) == (SECRET, "u", "R")
    assert entry.auth_url == "https://keystone.example:5000"
    assert SECRET not in repr(entry)
    (tmp_path / "c" / "secure.yaml").chmod(0o640)
    with pytest.raises(AuthFailed, match=r"secure\.yaml has a secret in it and can be read by others"):
        read("mine", str(path), environ={})


@pytest.mark.parametrize("key", ["password", "application_credential_secret", "access_token", "token"])
def test_a_file_with_a_secret_that_others_can_read_is_refused(home: Path, tmp_path: Path, key: str) -> None:
    auth = {"auth_url": "https://k/v3", "username": "u", "project_name": "p", key: SECRET}
    path = write(tmp_path / "clouds.yaml", {"mine": {"auth": auth}}, 0o644)
    with pytest.raises(AuthFailed, match="can be read by others") as caught:
        read("mine", str(path), environ={})
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("off", [{"verify": False}, {"verify": "no"}, {"insecure": True}, {"insecure": "1"}])
def test_a_certificate_check_that_is_switched_off_is_refused(home: Path, tmp_path: Path, off: dict[str, Any]) -> None:
    path = write(tmp_path / "clouds.yaml", {"mine": {"auth": PASSWORD, **off}})
    with pytest.raises(AuthFailed, match="cacert"):
        read("mine", str(path), environ={})
    with pytest.raises(AuthFailed, match="cacert"):
        read("", environ={f"OS_{key.upper()}": value for key, value in PASSWORD.items()} | {"OS_INSECURE": "True"})


def test_the_environment_is_an_entry_where_no_cloud_is_named(home: Path, tmp_path: Path) -> None:
    environ = {
        "OS_AUTH_URL": "https://k.example/v3/",
        "OS_AUTH_TYPE": "v3applicationcredential",
        "OS_APPLICATION_CREDENTIAL_ID": "the-id",
        "OS_APPLICATION_CREDENTIAL_SECRET": SECRET,
        "OS_REGION_NAME": "West",
        "OS_INTERFACE": "internal",
        "OS_CACERT": "/etc/ssl/cloud.pem",
    }
    entry = read("", environ=environ)
    assert (entry.method, entry.auth_url, entry.region) == (Method.APPLICATION_CREDENTIAL, "https://k.example", "West")
    assert (entry.interface, entry.cacert) == ("internal", "/etc/ssl/cloud.pem")
    assert dict(entry.auth) == {"application_credential_id": "the-id", "application_credential_secret": SECRET}
    path = write(tmp_path / "x.yaml", {"mine": {"auth": PASSWORD}, "other": {"auth": PASSWORD | {"username": "o"}}})
    environ |= {"OS_CLOUD": "other", "OS_CLIENT_CONFIG_FILE": str(path)}
    assert read("", environ=environ).auth["username"] == "o"
    assert read("mine", environ=environ).auth["username"] == "u"


def test_the_only_entry_needs_no_name_and_of_several_one_has_to_be_named(home: Path, tmp_path: Path) -> None:
    path = write(tmp_path / "clouds.yaml", {"mine": {"auth": PASSWORD}})
    assert read("", str(path), environ={}).source == f"cloud mine in {path}"
    write(path, {"mine": {"auth": PASSWORD}, "theirs": {"auth": PASSWORD}})
    with pytest.raises(AuthFailed, match="mine, theirs"):
        read("", str(path), environ={})
    with pytest.raises(AuthFailed, match=r"has no cloud 'yours'; it has: mine, theirs"):
        read("yours", str(path), environ={})


@pytest.mark.parametrize(
    ("entry", "method"),
    [
        ({"auth": PASSWORD}, Method.PASSWORD),
        ({"auth": PASSWORD, "auth_type": "v3password"}, Method.PASSWORD),
        (
            {"auth": {"auth_url": "https://k", "application_credential_id": 7, "application_credential_secret": "x"}},
            Method.APPLICATION_CREDENTIAL,
        ),
        (
            {
                "auth": {
                    "auth_url": "https://k",
                    "identity_provider": "egi.eu",
                    "protocol": "openid",
                    "access_token": "x",
                }
            },
            Method.OIDC,
        ),
        ({"auth": {"auth_url": "https://k", "token": "x"}, "auth_type": "token"}, Method.TOKEN),
    ],
)
def test_how_to_log_in_is_told_or_seen(home: Path, tmp_path: Path, entry: dict[str, Any], method: Method) -> None:
    path = write(tmp_path / "clouds.yaml", {"mine": entry})
    found = read("mine", str(path), environ={})
    assert found.method is method
    assert all(isinstance(value, str) for value in found.auth.values())


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ({}, "has no auth_url"),
        ({"profile": "rackspace"}, "are not followed"),
        ({"auth": {"auth_url": "https://k"}}, "lacks password"),
        ({"auth": PASSWORD, "auth_type": "v3kerberos"}, "v3kerberos is not known"),
        ({"auth": PASSWORD, "interface": "secret"}, "interface secret"),
        ({"auth": {"auth_url": "https://k", "identity_provider": "e", "protocol": "o"}}, "lacks access_token"),
    ],
)
def test_an_entry_that_cannot_be_used_says_what_it_lacks(
    home: Path, tmp_path: Path, entry: dict[str, Any], says: str
) -> None:
    path = write(tmp_path / "clouds.yaml", {"mine": entry})
    with pytest.raises(AuthFailed, match=says):
        read("mine", str(path), environ={})


@pytest.mark.parametrize("content", [f"password: [{SECRET}", "- 1", "", "clouds: 7", "\x00", "x" * (2**20 + 1)])
def test_a_file_that_is_no_list_of_clouds_is_told_without_what_stands_in_it(
    home: Path, tmp_path: Path, content: str
) -> None:
    path = tmp_path / "clouds.yaml"
    path.write_text(content)
    path.chmod(0o600)
    with pytest.raises(AuthFailed) as caught:
        read("mine", str(path), environ={})
    assert str(path) in str(caught.value)
    assert SECRET not in f"{caught.value!r} {caught.value.__cause__!r} {caught.value.__context__}"


def test_with_an_issuer_configured_no_access_token_stands_in_the_file(home: Path, tmp_path: Path) -> None:
    auth = {"auth_url": "https://k", "identity_provider": "egi.eu", "protocol": "openid"}
    path = write(tmp_path / "clouds.yaml", {"mine": {"auth": auth, "auth_type": "v3oidcaccesstoken"}}, 0o644)
    assert read("mine", str(path), has_oidc=True, environ={}).method is Method.OIDC
