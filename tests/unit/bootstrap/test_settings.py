"""The text of a member's settings: whole, counted, and new exactly when something is."""

from __future__ import annotations

import grp
import pwd
from datetime import UTC, datetime

import pytest

from clues.bootstrap import accounts, settings
from clues.inventory import Inventory, Member
from clues.model import ClaimState, Kind

NOW = datetime(2030, 1, 1, tzinfo=UTC)


def member(number: int, address: str) -> Member:
    return Member(f"k-{number}", Kind.WORKER, "upv", f"cpu-{number}", ClaimState.READY, address)


def text(shared: list[str], own: list[str]) -> settings.Text:
    return settings.render(shared, settings.digest(shared), own)


def test_the_last_line_counts_the_others() -> None:
    lines = text(["host 10.77.1.10 cpu-1"], ["forward x y"]).body.decode().splitlines()
    assert lines[0] == "clues-settings 1"
    assert lines[2:] == ["host 10.77.1.10 cpu-1", "forward x y", "end 4"]


def test_the_tag_is_the_same_for_the_same_lines_and_another_for_any_other() -> None:
    base = text(["a"], ["b"])
    assert text(["a"], ["b"]) == base
    others = [
        text(["a", "b"], []),
        text([], ["a", "b"]),
        text(["a"], ["c"]),
        text(["c"], ["b"]),
        text(["a"], ["b", "b"]),
    ]
    assert len({one.tag for one in [base, *others]}) == 6


def test_hosts_are_members_with_an_address() -> None:
    members = (member(1, "10.77.1.10"), member(2, ""), member(3, "not-an-address"), member(4, "10.77.2.10"))
    inventory = Inventory("c", 1, NOW, members=members)
    assert settings.host_lines(inventory) == ("host 10.77.1.10 cpu-1", "host 10.77.2.10 cpu-4")


@pytest.mark.parametrize("line", ["", "two\nlines", "\x1b[2J", "é"])
def test_a_line_that_is_not_one_line_of_plain_text_is_refused(line: str) -> None:
    with pytest.raises(ValueError):
        text([], [line])


def user(name: str, number: int, gecos: str = "A B", home: str = "", login: str = "/bin/bash") -> pwd.struct_passwd:
    return pwd.struct_passwd((name, "$6$hash", number, number, gecos, home or f"/home/{name}", login))


def group(name: str, number: int, *members: str) -> grp.struct_group:
    return grp.struct_group((name, "x", number, list(members)))


def takes(number: int) -> bool:
    return 1000 <= number <= 59999


def test_users_and_groups_of_the_range_are_exported_without_hashes() -> None:
    users = [user("root", 0), user("bob", 1001), user("alice", 1000), user("nobody", 65534)]
    groups = [group("sudo", 27, "alice"), group("lab", 2000, "alice", "root", "bob"), group("alice", 1000)]
    assert accounts.export(users, groups, takes) == (
        "account alice:x:1000:1000:A B:/home/alice:/bin/bash",
        "account bob:x:1001:1001:A B:/home/bob:/bin/bash",
        "group alice:x:1000:",
        "group lab:x:2000:alice,bob",
    )


@pytest.mark.parametrize(
    "wrong",
    [
        user("a b", 1000),
        user("a:b", 1000),
        user("-a", 1000),
        user("é", 1000),
        user("x" * 40, 1000),
        user("eve", 1000, home="/home/e ve"),
        user("eve", 1000, home="/home/eve:x"),
        user("eve", 1000, home="home"),
        user("eve", 1000, login="/bin/sh\naccount root"),
        pwd.struct_passwd(("eve", "x", 1000, 0, "", "/home/eve", "/bin/sh")),
    ],
)
def test_what_is_no_plain_account_is_left_out(wrong: pwd.struct_passwd) -> None:
    assert accounts.export([wrong], [group("a b", 1000), group("x:y", 1001)], takes) == ()


@pytest.mark.parametrize("gecos", ["a:b", "a\nb", "é", "x" * 300])
def test_a_gecos_that_is_not_plain_is_left_out_of_its_line(gecos: str) -> None:
    (line,) = accounts.export([user("eve", 1000, gecos=gecos)], [], takes)
    assert line == "account eve:x:1000:1000::/home/eve:/bin/bash"


def test_who_asks_nss_gets_lines_of_this_machine() -> None:
    assert all(line.split(" ")[0] in ("account", "group") for line in accounts.read(lambda _: True))


@pytest.mark.parametrize("never", ["slurm", "1500"])
def test_who_runs_the_batch_system_is_left_out_also_with_a_number_of_the_range(never: str) -> None:
    users = [user("slurm", 1500), user("alice", 1501)]
    groups = [group("slurm", 1500, "alice"), group("lab", 1600, "slurm", "alice")]
    found = accounts.export(users, groups, takes, {never})
    assert not any(line.startswith("account slurm:") for line in found)
    assert "group lab:x:1600:alice" in found
