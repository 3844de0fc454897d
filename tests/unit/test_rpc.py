"""Calls between the processes of a front-end: what a caller is told when the other side does not hear it out."""

from __future__ import annotations

import socket
import threading
from pathlib import Path

import pytest

from clues import rpc
from clues.errors import AuthFailed, Transient


def answer_unheard(path: Path, answer: bytes) -> threading.Thread:
    """Serve one caller: answer, and hang up without having read a word."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(path))
    listener.listen()

    def serve() -> None:
        with listener, listener.accept()[0] as connection:
            connection.sendall(answer)

    thread = threading.Thread(target=serve)
    thread.start()
    return thread


@pytest.mark.parametrize("words", [1, 500_000], ids=["at once", "in the middle"])
def test_a_caller_that_is_refused_unheard_is_told_why(tmp_path: Path, words: int) -> None:
    path = tmp_path / "socket"
    thread = answer_unheard(path, b'{"error": "AuthFailed", "words": "user id 1 may not call here"}\n')
    with pytest.raises(AuthFailed, match="user id 1 may not"):
        rpc.call(path, "status", text="x" * words)
    thread.join()


def test_nobody_who_answers_is_a_passing_fault(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    thread = answer_unheard(path, b"")
    with pytest.raises(Transient, match="no answer at"):
        rpc.call(path, "status", text="x" * 500_000)
    thread.join()
