"""Where keys come from, and that what is wrong with them is told without telling them."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from clues.errors import AuthFailed, Transient
from connectors.ec2.credentials import EARLY, Source
from connectors.ec2.keys import Keys
from connectors.ec2.role import Role

STATIC = "aws_access_key_id = {}\naws_secret_access_key = hush-{}\n"


class Metadata:
    """The metadata service of an instance with a role, version 2 only."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.lasts = timedelta(hours=6)
        self.role: str | None = "front-end"
        self.ill = False
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, format: str, *args: Any) -> None:
                pass

            def do_PUT(self) -> None:
                self._answer(200 if self.headers.get("X-aws-ec2-metadata-token-ttl-seconds") else 400, "a-token")

            def do_GET(self) -> None:
                outer.asked.append(self.path)
                if outer.ill or self.headers.get("X-aws-ec2-metadata-token") != "a-token":
                    self._answer(500 if outer.ill else 401, "no")
                elif self.path.endswith("/security-credentials/"):
                    self._answer(200 if outer.role else 404, outer.role or "none")
                else:
                    until = (datetime.now(UTC) + outer.lasts).strftime("%Y-%m-%dT%H:%M:%SZ")
                    keys = {"AccessKeyId": f"ASIA{len(outer.asked)}", "SecretAccessKey": "hush", "Token": "t"}
                    self._answer(200, json.dumps({**keys, "Code": "Success", "Expiration": until}))

            def _answer(self, status: int, body: str) -> None:
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body.encode())

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def environ(self) -> dict[str, str]:
        return {"AWS_EC2_METADATA_SERVICE_ENDPOINT": f"http://127.0.0.1:{self.server.server_port}/"}


@pytest.fixture
def metadata() -> Iterator[Metadata]:
    service = Metadata()
    yield service
    service.server.shutdown()
    service.server.server_close()


def home(folder: Path, credentials: str = "", config: str = "", mode: int = 0o600) -> dict[str, str]:
    """Return an environment with such files, and no metadata service."""
    for name, content in (("credentials", credentials), ("config", config)):
        path = folder / name
        path.touch(mode=mode if name == "credentials" else 0o644)
        path.chmod(mode if name == "credentials" else 0o644)
        path.write_text(content)
    return {
        "AWS_SHARED_CREDENTIALS_FILE": str(folder / "credentials"),
        "AWS_CONFIG_FILE": str(folder / "config"),
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def profile(name: str, key: str, more: str = "") -> str:
    return f"[{name}]\n{STATIC.format(key, key)}{more}\n"


def test_a_profile_is_found_in_either_file_and_that_of_credentials_wins(tmp_path: Path) -> None:
    environ = home(
        tmp_path,
        profile("deep", "FROM-CREDENTIALS") + profile("other", "OTHER"),
        "[profile deep]\nregion = eu-west-1\naws_access_key_id = FROM-CONFIG\n",
    )
    assert Source("deep", environ=environ).get() == Keys("FROM-CREDENTIALS", "hush-FROM-CREDENTIALS")
    (tmp_path / "credentials").write_text("")
    (tmp_path / "config").write_text(profile("profile deep", "FROM-CONFIG"))
    (tmp_path / "config").chmod(0o600)
    assert Source("deep", environ=environ).get().access_key == "FROM-CONFIG"


def test_a_named_profile_is_taken_before_the_environment_and_nothing_else_is(tmp_path: Path) -> None:
    environ = home(tmp_path, profile("default", "DEFAULT"))
    environ |= {"AWS_ACCESS_KEY_ID": "ENVIRONMENT", "AWS_SECRET_ACCESS_KEY": "hush"}
    with pytest.raises(AuthFailed, match="no profile 'deep'"):
        Source("deep", environ=environ).get()
    assert Source("default", environ=environ).get().access_key == "DEFAULT"


def test_without_a_name_the_environment_comes_before_the_default_profile(tmp_path: Path, metadata: Metadata) -> None:
    environ = home(tmp_path, profile("default", "DEFAULT") + profile("named", "NAMED")) | metadata.environ
    del environ["AWS_EC2_METADATA_DISABLED"]
    both = {"AWS_ACCESS_KEY_ID": "ENVIRONMENT", "AWS_SECRET_ACCESS_KEY": "hush", "AWS_SESSION_TOKEN": "t"}
    assert Source(environ=environ | both).get() == Keys("ENVIRONMENT", "hush", "t")
    assert Source(environ=environ | {"AWS_ACCESS_KEY_ID": "HALF"}).get().access_key == "DEFAULT"
    assert Source(environ=environ | {"AWS_PROFILE": "named"}).get().access_key == "NAMED"
    (tmp_path / "credentials").write_text("")
    (tmp_path / "config").write_text("[default]\nregion = eu-west-1\n")
    assert Source(environ=environ).get().access_key.startswith("ASIA")
    with pytest.raises(AuthFailed, match="'nobody'"):
        Source(environ=environ | {"AWS_PROFILE": "nobody"}).get()


def test_a_reference_names_a_file_or_a_systemd_credential(tmp_path: Path) -> None:
    path = tmp_path / "aws"
    path.touch(mode=0o600)
    path.write_text(profile("whatever", "FILE"))
    assert Source(reference=str(path), environ={}).get().access_key == "FILE"
    assert Source(reference="aws", environ={"CREDENTIALS_DIRECTORY": str(tmp_path)}).get().access_key == "FILE"
    path.write_text(profile("one", "ONE") + profile("two", "TWO"))
    with pytest.raises(AuthFailed, match="one profile"):
        Source(reference=str(path), environ={}).get()


def test_a_file_with_secrets_that_others_can_read_is_refused(tmp_path: Path) -> None:
    environ = home(tmp_path, profile("deep", "OPEN"), mode=0o644)
    with pytest.raises(AuthFailed, match="chmod 600"):
        Source("deep", environ=environ).get()
    environ = home(tmp_path, "", profile("profile deep", "OPEN"))
    with pytest.raises(AuthFailed, match="chmod 600"):
        Source("deep", environ=environ).get()


@pytest.mark.parametrize(
    "content",
    [
        "aws_secret_access_key = hush-hush\n",
        "[deep]\naws_access_key_id AKIA hush-hush\n",
        "[deep]\naws_secret_access_key = hush-hush\n",
        "[deep\naws_secret_access_key = hush-hush\n",
        "\x00hush-hush",
        "[deep]\nrole_arn = arn:aws:iam::1:role/x\nsource_profile = hush-hush\n",
    ],
)
def test_what_is_wrong_with_a_file_is_told_without_its_secrets(tmp_path: Path, content: str) -> None:
    with pytest.raises(AuthFailed) as caught:
        Source("deep", environ=home(tmp_path, content)).get()
    told: list[str] = []
    error: BaseException | None = caught.value
    while error is not None:
        told.append(f"{error} {error!r}")
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    assert not [one for one in told if "hush" in one]


def test_keys_do_not_show_their_secrets() -> None:
    assert "hush" not in repr(Keys("AKIA", "hush", "hush"))


def test_a_way_that_is_not_supported_is_named(tmp_path: Path) -> None:
    environ = home(tmp_path, "", "[profile deep]\nsso_session = company\n")
    with pytest.raises(AuthFailed, match="sso_session"):
        Source("deep", environ=environ).get()


def test_no_keys_anywhere_says_where_they_were_looked_for(tmp_path: Path) -> None:
    with pytest.raises(AuthFailed, match="no keys for AWS"):
        Source(environ=home(tmp_path)).get()


def test_a_session_that_was_renewed_in_its_file_is_taken_up(tmp_path: Path) -> None:
    def session(key: str, ends: datetime) -> str:
        return profile("deep", key, f"aws_session_token = t\naws_expiration = {ends.isoformat()}\n")

    now = datetime.now(UTC)
    environ = home(tmp_path, session("OLD", now + EARLY * 2))
    source = Source("deep", environ=environ)
    assert source.get().access_key == "OLD"
    assert source.until() == now + EARLY * 2
    (tmp_path / "credentials").write_text(session("NEW", now + timedelta(hours=8)))
    assert source.get().access_key == "OLD", "what still holds is not read at every call"
    source.forget()
    assert source.get().access_key == "NEW"
    (tmp_path / "credentials").write_text(session("ENDING", now + EARLY / 2))
    source.forget()
    source.get()
    (tmp_path / "credentials").write_text(session("NEWEST", now + timedelta(hours=8)))
    assert source.get().access_key == "NEWEST"


def test_keys_that_last_have_no_end_and_asking_for_it_asks_no_service(tmp_path: Path, metadata: Metadata) -> None:
    environ = home(tmp_path, profile("deep", "LASTING", "aws_expiration = 2020-01-01T00:00:00Z\n"))
    assert Source("deep", environ=environ).until() is None
    assert (
        Source(environ=metadata.environ | {"AWS_CONFIG_FILE": "/x", "AWS_SHARED_CREDENTIALS_FILE": "/x"}).until()
        is None
    )
    assert metadata.asked == []


def test_the_keys_of_a_role_are_asked_for_anew_before_they_end(metadata: Metadata) -> None:
    source = Source(role=Role(metadata.environ), environ={"AWS_CONFIG_FILE": "/x", "AWS_SHARED_CREDENTIALS_FILE": "/x"})
    first = source.get()
    assert first.renewed
    assert source.get() is first
    assert source.until() is None
    assert len(metadata.asked) == 2
    metadata.lasts = EARLY / 2
    source.forget()
    second, third = source.get(), source.get()
    assert first.access_key != second.access_key != third.access_key


def test_a_role_that_cannot_be_asked_is_good_until_its_keys_end(metadata: Metadata) -> None:
    role = Role(metadata.environ)
    metadata.lasts = timedelta(seconds=30)
    keys = role.keys()
    metadata.ill = True
    assert role.keys() is keys
    metadata.ill, metadata.lasts = False, timedelta(seconds=-30)
    role.keys()
    metadata.ill = True
    with pytest.raises(Transient):
        role.keys()


def test_an_instance_without_a_role_has_no_keys(metadata: Metadata) -> None:
    metadata.role = None
    with pytest.raises(AuthFailed, match="instance role"):
        Role(metadata.environ).keys()
