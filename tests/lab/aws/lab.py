"""The lab's AWS, as tests hold it: started in a process of its own, told what to do, asked what happened."""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests

KEYS = ("AKIACLUES", "clues-secret")
STRANGERS_KEYS = ("AKIASTRANGER", "strangers-secret")
SESSION_KEYS = ("ASIACLUES", "sessions-secret", "sessions-token")
REGION = "eu-west-1"

_ROOT = Path(__file__).parents[3]


class Aws:
    """A running lab."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._session = requests.Session()
        self._session.trust_env = False

    def tell(self, verb: str, **said: Any) -> Any:
        """Have the lab do something behind everybody's back; see :class:`tests.lab.aws.steering.Steering`."""
        answer = self._session.post(f"{self.url}/lab/{verb}", json=said, timeout=60)
        answer.raise_for_status()
        return answer.json()

    def calls(self, action: str = "", since: int = 0) -> list[dict[str, str]]:
        """Return the parameters of all calls so far, or those of one action."""
        return [one for one in self.tell("calls", since=since) if action in ("", one["Action"])]

    def client(self, keys: tuple[str, str] = STRANGERS_KEYS, service: str = "ec2") -> Any:
        """Return AWS's own client, as somebody else in the account would use it."""
        boto3 = importlib.import_module("boto3")
        return boto3.client(
            service, region_name=REGION, endpoint_url=self.url, aws_access_key_id=keys[0], aws_secret_access_key=keys[1]
        )


@contextmanager
def running() -> Iterator[Aws]:
    """Run a lab of one's own, and end it."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.lab.aws"], cwd=_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        port = process.stdout.readline().strip()
        assert port, "the lab's AWS did not start"
        yield Aws(f"http://127.0.0.1:{port}")
    finally:
        assert process.stdin is not None
        process.stdin.close()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        assert process.stdout is not None
        process.stdout.close()
