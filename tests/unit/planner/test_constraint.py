"""``--constraint`` as Slurm reads it: strictly from left to right, with parentheses, brackets and nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clues.planner.queue.constraint import UnreadableConstraint, parse_constraint, satisfied

NAMES = "abcd"


def takes(text: str, features: str) -> bool:
    return satisfied(parse_constraint(text), frozenset(features))


@pytest.mark.parametrize(
    ("text", "yes", "no"),
    [
        ("", ["", "a"], []),
        ("(null)", ["", "a"], []),
        ("a", ["a", "ab"], ["", "b"]),
        ("a&b", ["ab", "abc"], ["a", "b", ""]),
        ("a|b", ["a", "b", "ab"], ["", "c"]),
        ("[a|b]", ["a", "b"], ["c"]),
        ("(a|b)&c", ["ac", "bc"], ["a", "c", "ab"]),
        ("a&(b|c)", ["ab", "ac"], ["a", "bc"]),
        ("a&[b|c]", ["ab", "ac"], ["bc"]),
        ("(a&b)|c", ["ab", "c"], ["a"]),
        (" a & b ", ["ab"], ["a"]),
    ],
)
def test_the_grammar(text: str, yes: list[str], no: list[str]) -> None:
    assert [features for features in yes if not takes(text, features)] == []
    assert [features for features in no if takes(text, features)] == []


@pytest.mark.parametrize(
    "text", ["a*2", "[a*2&b*4]", "a&", "&a", "a||b", "(a", "a)", "[a|b", "a b", "a;b", "()", "a!b", "$(x)"]
)
def test_what_is_not_modelled_says_so(text: str) -> None:
    with pytest.raises(UnreadableConstraint):
        parse_constraint(text)


def test_a_puzzle_is_refused_instead_of_solved() -> None:
    with pytest.raises(UnreadableConstraint):
        parse_constraint("&".join(f"(a{n}|b{n})" for n in range(12)))


def test_and_and_or_have_the_same_rank() -> None:
    """Slurm 22.05 (valid_feature_counts) folds from the left: ``a|b&c`` is ``(a|b)&c``."""
    assert not takes("a|b&c", "a")
    assert takes("a|b&c", "ac")
    assert takes("a&b|c", "c")


def _text(one: object, top: bool = True) -> str:
    if isinstance(one, str):
        return one
    assert isinstance(one, tuple)
    operation, left, right = one
    # a right operand that is itself an operation needs its parentheses: there is no precedence
    text = f"{_text(left, True)}{operation}{_text(right, False)}"
    return text if top else f"({text})"


def _holds(one: object, features: frozenset[str]) -> bool:
    if isinstance(one, str):
        return one in features
    assert isinstance(one, tuple)
    operation, left, right = one
    if operation == "&":
        return _holds(left, features) and _holds(right, features)
    return _holds(left, features) or _holds(right, features)


EXPRESSIONS = st.recursive(
    st.sampled_from(NAMES), lambda inner: st.tuples(st.sampled_from("&|"), inner, inner), max_leaves=6
)


@given(EXPRESSIONS, st.frozensets(st.sampled_from(NAMES)))
def test_random_expressions_agree_with_brute_force(expression: object, features: frozenset[str]) -> None:
    assert satisfied(parse_constraint(_text(expression)), features) == _holds(expression, features)


@given(st.text(alphabet="ab&|()[]*, ", max_size=12))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        alternatives = parse_constraint(text)
    except UnreadableConstraint:
        return
    assert alternatives
