"""Logins: by which method, how often, in which region, and what is told about the end of credentials."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from clues.errors import AuthFailed, InvalidRequest
from clues.testing.connector_contract import OURS, launch
from clues.testing.wire import WireFault
from connectors.openstack.clouds import Entry, Method
from connectors.openstack.identity import _endpoints
from tests.lab.openstack_fake.issuer import jwt
from tests.lab.openstack_fake.state import now
from tests.lab.openstack_fake.under_test import OpenStackSite

PASSWORD = {"username": "clues", "password": "secret", "user_domain_name": "Default", "project_domain_id": "default"}


def logins(site: OpenStackSite) -> int:
    return site.cloud.count("POST", "/auth/tokens")


# --- methods --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scope", ["name", "id"])
def test_a_password_buys_a_token_for_the_project(site: OpenStackSite, scope: str) -> None:
    project = {"project_name": "clues"} if scope == "name" else {"project_id": site.project.id}
    site.clouds_yaml(PASSWORD | project)
    assert site.connect(OURS).list_instances().instances == ()
    (token,) = site.state.tokens.values()
    assert (token.methods, token.project) == (["password"], site.project.id)


def test_an_application_credential_may_be_named_with_its_user(site: OpenStackSite) -> None:
    given = {"application_credential_name": "daemon", "application_credential_secret": site.credential.secret}
    site.clouds_yaml(given | {"username": "clues", "user_domain_id": "default"})
    assert site.connect(OURS).list_instances().instances == ()


def test_a_token_is_taken_for_another_with_the_project(site: OpenStackSite) -> None:
    site.connect(OURS).list_instances()
    (token,) = site.state.tokens
    site.clouds_yaml({"token": token, "project_id": site.project.id}, auth_type="v3token")
    assert site.connect(OURS).list_instances().instances == ()


def test_a_token_for_no_project_is_refused_with_what_is_missing(site: OpenStackSite) -> None:
    site.clouds_yaml(PASSWORD)
    with pytest.raises(AuthFailed, match="write project_id"):
        site.connect(OURS).list_instances()


def test_wrong_credentials_are_told_without_the_secret_and_are_not_tried_again_at_once(site: OpenStackSite) -> None:
    site.clouds_yaml(PASSWORD | {"project_name": "clues", "password": "wr0ng-password"})
    connector = site.connect(OURS)
    with ThreadPoolExecutor(4) as threads:
        errors = list(threads.map(lambda _: _error(connector.list_instances), range(12)))
    assert {type(one) for one in errors} == {AuthFailed}
    assert all("requires authentication" in str(one) and "wr0ng" not in str(one) for one in errors)
    assert logins(site) == 1
    site.clouds_yaml(PASSWORD | {"project_name": "clues"})
    assert connector.list_instances().instances == ()


def test_a_credential_that_was_deleted_ends_no_vm(site: OpenStackSite) -> None:
    connector = site.connect(OURS)
    made = launch(connector, site.request(OURS, 1))
    site.state.credentials.clear()
    site.state.tokens.clear()
    # keystone says 404; taken for the VM's, it would be a success
    for call in (lambda: connector.terminate(made.id), connector.list_instances):
        with pytest.raises(AuthFailed, match="Could not find Application Credential"):
            call()


def _error(call: Any) -> BaseException | None:
    try:
        call()
    except AuthFailed as error:
        return error
    return None


# --- one token for all ----------------------------------------------------------------------------------------------


def test_eight_threads_log_in_once(site: OpenStackSite) -> None:
    connector, barrier = site.connect(OURS), threading.Barrier(8)

    def work(number: int) -> str:
        barrier.wait()
        return launch(connector, site.request(OURS, number)).id

    with ThreadPoolExecutor(8) as threads:
        assert len(set(threads.map(work, range(8)))) == 8
    assert logins(site) == 1


def test_a_token_that_was_revoked_is_renewed_once_for_all_threads(site: OpenStackSite) -> None:
    connector, barrier = site.connect(OURS), threading.Barrier(4)

    def work(_: int) -> int:
        barrier.wait(10)
        return len(connector.list_instances().instances)

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(work, range(4)))
        site.state.tokens.clear()
        list(threads.map(work, range(4)))
    assert logins(site) == 2


def test_a_token_is_replaced_before_it_ends_whatever_our_clock_says(site: OpenStackSite) -> None:
    site.state.token_life = timedelta(seconds=1.2)
    connector = site.connect(OURS)
    connector.list_instances()
    first = logins(site)
    connector.quota()
    assert logins(site) == first
    assert _until(lambda: connector.quota() is not None and logins(site) == first + 1)


def _until(true: Any) -> bool:
    deadline = now() + timedelta(seconds=10)
    while not true():
        if now() > deadline:
            return False
        threading.Event().wait(0.05)
    return True


def test_a_login_that_gets_lost_has_no_effect_on_the_launch(site: OpenStackSite) -> None:
    """It is told as what it is: nothing was asked of nova."""
    connector = site.connect(OURS)
    connector.list_instances()
    site.state.tokens.clear()
    site.wire.next(WireFault.LOST_REPLY, lambda method, path, _: method == "POST" and path.endswith("/auth/tokens"))
    (outcome,) = connector.launch([site.request(OURS, 1)])
    assert outcome.error is not None
    assert outcome.error.no_effect
    assert site.alive() == 0


# --- OpenID Connect -------------------------------------------------------------------------------------------------

FEDERATED = {"identity_provider": "egi.eu", "protocol": "openid"}


def oidc(site: OpenStackSite, **more: Any) -> dict[str, Any]:
    """Write an entry for federation, and return the site's `oidc`."""
    site.clouds_yaml(FEDERATED, auth_type="v3oidcaccesstoken")
    return {"access_token_file": str(site.folder / "token"), **more}


def put(site: OpenStackSite, name: str, content: str) -> str:
    path = site.folder / name
    path.write_text(content + "\n")
    path.chmod(0o600)
    return str(path)


def access_token(site: OpenStackSite, seconds: float = 3600) -> str:
    token = jwt(exp=int((datetime.now(UTC) + timedelta(seconds=seconds)).timestamp()), sub="alice")
    site.state.access_tokens[token] = "clues"
    return token


def test_an_access_token_is_read_anew_at_each_login_and_the_only_project_is_taken(site: OpenStackSite) -> None:
    keys = oidc(site)
    put(site, "token", access_token(site))
    connector = site.build(OURS, oidc=keys)
    connector.list_instances()
    assert {one.project for one in site.state.tokens.values()} == {"", site.project.id}
    site.state.tokens.clear()
    site.state.access_tokens.clear()
    put(site, "token", access_token(site))
    connector.list_instances()


def test_an_access_token_that_is_not_good_any_more_is_told(site: OpenStackSite) -> None:
    keys = oidc(site)
    put(site, "token", jwt(exp=1))
    with pytest.raises(AuthFailed, match="requires authentication"):
        site.build(OURS, oidc=keys).list_instances()


def test_the_end_of_an_access_token_is_told_unless_something_renews_it(site: OpenStackSite) -> None:
    keys = oidc(site)
    put(site, "token", access_token(site, 7200))
    until = site.build(OURS, oidc=keys).credentials_until()
    assert until is not None
    assert abs(until - datetime.now(UTC) - timedelta(hours=2)) < timedelta(minutes=1)
    assert site.build(OURS, oidc=keys | {"renewed": True}).credentials_until() is None


def refreshing(site: OpenStackSite, **more: Any) -> dict[str, Any]:
    site.clouds_yaml(FEDERATED, auth_type="v3oidcaccesstoken")
    site.state.refresh_tokens.add("refresh-0")
    return {
        "refresh_token_file": put(site, "refresh", "refresh-0"),
        "client_id": "clues",
        "token_endpoint": f"{site.wire.url}/oidc/token",
        **more,
    }


def test_access_tokens_are_asked_for_with_a_refresh_token(site: OpenStackSite) -> None:
    connector = site.build(OURS, oidc=refreshing(site))
    connector.list_instances()
    site.state.tokens.clear()
    connector.list_instances()
    assert site.cloud.count("POST", "/oidc/token") == 2  # keystone refused what the first had bought
    assert connector.credentials_until() is None


def test_a_client_with_a_secret_proves_itself(site: OpenStackSite) -> None:
    site.state.client_secret = "of-the-client"
    keys = refreshing(site)
    with pytest.raises(AuthFailed, match="invalid_client"):
        site.build(OURS, oidc=keys).list_instances()
    keys["client_secret_file"] = put(site, "secret", "of-the-client")
    site.build(OURS, oidc=keys).list_instances()


def test_a_refresh_token_that_the_issuer_changes_survives_a_restart_in_a_private_file(site: OpenStackSite) -> None:
    site.state.rotates = True
    keys = refreshing(site)
    for _ in range(3):
        site.build(OURS, oidc=keys).list_instances()
    assert "refresh-0" not in site.state.refresh_tokens
    (kept,) = site.folder.glob("openstack-here.refresh-token")
    assert kept.stat().st_mode & 0o777 == 0o600
    # the sysadmin's new one counts from then on, even if the kept one would still do
    site.state.refresh_tokens.add("refresh-1")
    put(site, "refresh", "refresh-1")
    site.build(OURS, oidc=keys).list_instances()
    assert "refresh-1" not in site.state.refresh_tokens


def test_a_refresh_token_that_has_ended_is_told_with_the_issuers_words(site: OpenStackSite) -> None:
    keys = refreshing(site)
    site.state.refresh_tokens.clear()
    with pytest.raises(AuthFailed, match=r"Token is not active.*get a new one") as caught:
        site.build(OURS, oidc=keys).list_instances()
    assert "refresh-0" not in str(caught.value)


# --- regions and endpoints ------------------------------------------------------------------------------------------


def test_of_several_regions_one_has_to_be_named(site: OpenStackSite) -> None:
    site.state.regions = ("North", "South")
    with pytest.raises(InvalidRequest, match="North, South"):
        site.connect(OURS).list_instances()
    with pytest.raises(InvalidRequest, match="no region West"):
        site.build(OURS, region="West").list_instances()
    site.build(OURS, region="South").list_instances()


def test_a_token_is_not_sent_in_clear_where_the_login_was_not() -> None:
    catalog = [
        {"type": "compute", "endpoints": [{"interface": "public", "region_id": "R", "url": "http://nova.example"}]}
    ]
    entry = Entry("cloud x", Method.PASSWORD, "https://keystone.example", {})
    with pytest.raises(InvalidRequest, match="in clear"):
        _endpoints(entry, "", catalog)
    overridden = Entry(
        "cloud x", Method.PASSWORD, "https://keystone.example", {}, endpoints={"compute": "https://nova.example"}
    )
    assert _endpoints(overridden, "", catalog) == {"compute": "https://nova.example"}


# --- the end of credentials -----------------------------------------------------------------------------------------


def test_the_end_of_an_application_credential_is_told_and_nothing_where_keystone_does_not(site: OpenStackSite) -> None:
    assert site.credential.expires is not None
    assert site.connect(OURS).credentials_until() == site.credential.expires.replace(microsecond=0)
    site.state.forbidden.add("identity:get_application_credential")
    assert site.connect(OURS).credentials_until() is None


def test_the_end_of_a_password_is_told(site: OpenStackSite) -> None:
    site.clouds_yaml(PASSWORD | {"project_name": "clues"})
    assert site.connect(OURS).credentials_until() is None
    site.state.password_expires = now() + timedelta(days=3)
    assert site.connect(OURS).credentials_until() == site.state.password_expires.replace(microsecond=0)


def test_credentials_that_do_not_work_have_no_end(site: OpenStackSite) -> None:
    site.clouds_yaml(PASSWORD | {"project_name": "clues", "password": "x"})
    assert site.connect(OURS).credentials_until() is None
