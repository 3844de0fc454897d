"""Hostlists expand as Slurm's do, come back the same, and can never fill the memory."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clues.hostlist import MOST, HostlistError, compress, expand

EXPANDED = {
    "": [],
    "head": ["head"],
    "a,b": ["a", "b"],
    "a, b": ["a", "b"],
    "cpu-[001-003]": ["cpu-001", "cpu-002", "cpu-003"],
    "a[1-3,7]b": ["a1b", "a2b", "a3b", "a7b"],
    "w[1-2]-[1-2]": ["w1-1", "w1-2", "w2-1", "w2-2"],
    "n[08-10]": ["n08", "n09", "n10"],
    "n[9-11]": ["n9", "n10", "n11"],
    "n[098-101]": ["n098", "n099", "n100", "n101"],
    "n[99-101]": ["n99", "n100", "n101"],
    "n[1,01]": ["n1", "n01"],
    "a[1-2],b,c[3]": ["a1", "a2", "b", "c3"],
    "n1,n1": ["n1", "n1"],
    "[1-2]": ["1", "2"],
}


@pytest.mark.parametrize(("text", "names"), EXPANDED.items())
def test_a_hostlist_expands_as_in_slurm(text: str, names: list[str]) -> None:
    assert expand(text) == names


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("a[1-2", "a bracket too many"),
        ("a1-2]", "a bracket too many"),
        ("a[[1]]", "a bracket too many"),
        ("a[]", "a bracket holds numbers"),
        ("a[1-]", "a bracket holds numbers"),
        ("a[x]", "a bracket holds numbers"),
        ("a[1--3]", "a bracket holds numbers"),
        ("a[3-1]", "runs backwards"),
        ("a[1-010]", "as many digits"),
        ("a[1234567890123456789]", "at most 18 digits"),
        ("a,,b", "an empty name"),
        ("a,", "an empty name"),
        (",a", "an empty name"),
        ("a b", "letters, digits"),
        ("a;reboot", "letters, digits"),
        ("a\nb", "letters, digits"),
        ("-w", "letters, digits"),
        ("näh", "letters, digits"),
        ("a[1-٣]", "a bracket holds numbers"),
    ],
)
def test_what_is_not_a_hostlist_is_refused_with_its_cause(text: str, cause: str) -> None:
    with pytest.raises(HostlistError, match=cause):
        expand(text)


@pytest.mark.parametrize(
    "text",
    [
        "n[1-65537]",
        "n[1-40000],m[1-40000]",
        "n[1-999999999999999999]",
        "n" + "[1-2]" * 17,
        "n" + "[1-9]" * 5000,
        ",".join(["n[1-60000]"] * 5000),
    ],
)
def test_too_many_names_are_refused_before_they_are_made(text: str) -> None:
    start = time.process_time()
    with pytest.raises(HostlistError, match="more than 65,536 names"):
        expand(text)
    assert time.process_time() - start < 2


def test_as_many_names_as_slurm_has_nodes_are_allowed() -> None:
    names = expand(f"n[1-{MOST}]")
    assert len(names) == MOST
    assert compress(names) == f"n[1-{MOST}]"


@pytest.mark.parametrize(
    ("names", "text"),
    [
        ([], ""),
        (["b", "a"], "a,b"),
        (["n1"], "n1"),
        (["n2", "n1", "n1"], "n[1-2]"),
        (["n08", "n09", "n10", "n7"], "n[7,08-10]"),
        (["n9", "n10", "n11"], "n[9-11]"),
        (["n099", "n100"], "n[099-100]"),
        (["w1-1", "w1-2", "w2-1"], "w1-[1-2],w2-1"),
        (["a1b", "a2b", "a"], "a,a[1-2]b"),
    ],
)
def test_names_are_written_short(names: list[str], text: str) -> None:
    assert compress(names) == text


@pytest.mark.parametrize("name", ["", "a,b", "a[1]", "a b", "-a"])
def test_a_name_that_would_not_come_back_is_not_compressed(name: str) -> None:
    with pytest.raises(HostlistError):
        compress([name])


WORD = st.from_regex(r"[a-c][a-c_.-]{0,2}", fullmatch=True)
NUMBER = st.from_regex(r"[0-9]{1,3}", fullmatch=True)
MAYBE = st.just("")
NAME = st.one_of(WORD, st.tuples(WORD, NUMBER, MAYBE | WORD, MAYBE | NUMBER).map("".join))


@settings(max_examples=300, deadline=None)
@given(st.sets(st.one_of(NAME, st.from_regex(r"n[0-9]{1,3}", fullmatch=True)), max_size=60))
def test_compressed_names_come_back(names: set[str]) -> None:
    back = expand(compress(names))
    assert sorted(back) == sorted(names)


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="ab1290[]-, ", max_size=20))
def test_any_text_is_a_hostlist_or_a_hostlist_error(text: str) -> None:
    try:
        names = expand(text)
    except HostlistError:
        return
    assert set(expand(compress(names))) == set(names)
