"""The issuer's keys: asked for when they are needed, never without end, and believed for an hour at most."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import pytest
from joserfc.jwk import ECKey, OctKey, RSAKey

from clues.api.oidc import keys
from clues.api.oidc.keys import KEPT_SECONDS, RETRY_SECONDS, KeyCache, Unreachable, keys_of
from tests.unit.api.issuer import EC, RSA


class Source:
    """An issuer that counts, and a clock."""

    def __init__(self) -> None:
        self.count, self.time, self.silent = 0, 1000.0, False
        self.told: list[dict[str, Any]] = [public(EC, "a")]
        self.cache = KeyCache(self.fetch, lambda: self.time, 60.0)

    def fetch(self) -> Sequence[Any]:
        self.count += 1
        if self.silent:
            raise Unreachable("it is silent")
        return self.told


def public(key: Any, kid: str, **more: Any) -> dict[str, Any]:
    return {**key.as_dict(private=False), "kid": kid, **more}


@pytest.fixture
def source() -> Source:
    return Source()


def test_an_unknown_key_is_asked_for_at_most_once_a_minute(source: Source) -> None:
    for kid in ("a", "a", "b", "c", "d"):
        source.cache.find(kid)
        source.time += 1
    assert source.count == 1
    source.time += 60
    source.told = [public(EC, "b")]
    assert source.cache.find("b") is not None
    assert source.cache.find("a") is None
    assert source.count == 2


def test_an_issuer_that_is_silent_is_not_asked_at_each_token(source: Source) -> None:
    source.silent = True
    for _ in range(5):
        with pytest.raises(Unreachable, match="silent"):
            source.cache.find("a")
    assert source.count == 1
    source.silent, source.time = False, source.time + RETRY_SECONDS
    assert source.cache.find("a") is not None


def test_what_is_known_is_good_while_the_issuer_is_silent_but_not_for_ever(source: Source) -> None:
    source.cache.find("a")
    source.silent, source.time = True, source.time + KEPT_SECONDS - 1
    assert source.cache.find("a") is not None
    with pytest.raises(Unreachable):
        source.cache.find("unknown")
    source.time += 10
    with pytest.raises(Unreachable):
        source.cache.find("a")


def test_a_key_that_was_withdrawn_is_believed_no_longer_than_an_hour(source: Source) -> None:
    source.cache.find("a")
    source.told, source.time = [public(EC, "b")], source.time + KEPT_SECONDS
    assert source.cache.find("a") is None


def test_a_token_without_a_key_id_is_only_that_of_the_only_key(source: Source) -> None:
    assert source.cache.find(None) is not None
    source.told, source.time = [public(EC, "a"), public(RSA, "b")], source.time + KEPT_SECONDS
    assert source.cache.find(None) is None


def test_an_issuer_that_hangs_takes_no_more_than_a_few_threads(source: Source) -> None:
    asked, answer = threading.Event(), threading.Event()

    def hang() -> Sequence[Any]:
        asked.set()
        answer.wait(20)
        return source.told

    cache = KeyCache(hang, lambda: source.time, 60.0)
    found: list[str] = []

    def ask() -> None:
        try:
            found.append("found" if cache.find("a") else "none")
        except Unreachable:
            found.append("told to come again")

    threads = [threading.Thread(target=ask) for _ in range(keys._MOST_WAITING + 3)]
    threads[0].start()
    assert asked.wait(20)
    for thread in threads[1:]:
        thread.start()
    for thread in threads[1:]:
        thread.join(0.2)
    assert found == ["told to come again"] * 3
    answer.set()
    for thread in threads:
        thread.join(20)
    assert found.count("found") == keys._MOST_WAITING


def test_secrets_weak_keys_and_keys_for_something_else_are_not_the_issuers() -> None:
    told = [
        OctKey.generate_key(256).as_dict(private=True),
        public(RSAKey.generate_key(1024, private=True), "weak"),
        public(EC, "for encryption", use="enc"),
        {"kty": "ML-DSA", "kid": "of tomorrow"},
        {"kty": "RSA"},
        "rubbish",
        public(EC, "good"),
    ]
    assert [key.kid for key in keys_of(told)] == ["good"]
    with pytest.raises(Unreachable, match="no key"):
        keys_of(told[:-1])


def test_a_key_of_another_curve_is_a_key() -> None:
    assert keys_of([public(ECKey.generate_key("P-384", private=True), "x")])
