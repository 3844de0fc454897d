"""What threads ask for at about the same time goes out as one call, and everybody hears of its end."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from connectors.ec2.batches import Batches, BatchFailed


def test_those_who_come_together_are_served_by_one_call() -> None:
    calls: list[list[str]] = []

    def run(_: str, items: list[str]) -> dict[str, str]:
        calls.append(items)
        return {item: item.upper() for item in items}

    batches = Batches(run, wait=0.5)
    together = threading.Barrier(8)

    def ask(item: str) -> str:
        together.wait()
        answer, _ = batches.ask("driver", item)
        return answer[item]

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(ask, "abcdefgh")) == list("ABCDEFGH")
    assert len(calls) == 1
    assert sorted(calls[0]) == list("abcdefgh")


def test_a_full_batch_waits_for_nobody() -> None:
    sizes: list[int] = []
    batches: Batches[str, None] = Batches(lambda _, items: sizes.append(len(items)), wait=30.0, most=2)
    began = time.monotonic()
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda item: batches.ask("driver", item), "abcd"))
    assert time.monotonic() - began < 10
    assert sizes == [2, 2]


def test_one_alone_is_served_after_a_moment() -> None:
    batches: Batches[str, list[str]] = Batches(lambda _, items: items, wait=0.01)
    assert batches.ask("driver", "a") == (["a"], 1)
    assert batches.ask("driver", "b") == (["b"], 1)


def test_a_call_that_fails_fails_for_all_who_share_it_and_not_for_the_next() -> None:
    ill = [ValueError("no")]

    def run(_: str, items: list[str]) -> int:
        if ill:
            raise ill.pop()
        return len(items)

    batches = Batches(run, wait=0.5)
    together = threading.Barrier(3)

    def ask(item: str) -> BaseException | None:
        together.wait()
        with pytest.raises(BatchFailed) as caught:
            batches.ask("driver", item)
        assert caught.value.items == 3
        return caught.value.__cause__

    with ThreadPoolExecutor(3) as threads:
        assert [type(error) for error in threads.map(ask, "abc")] == [ValueError] * 3
    assert batches.ask("driver", "d") == (1, 1)
