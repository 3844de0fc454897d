"""What is sent about alarms, as bytes and as words. What others may have written is made printable on the way."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Sequence
from datetime import datetime
from email.message import EmailMessage
from email.utils import format_datetime

from clues.model import LoggedNote

VERSION = "v1"


def body(cluster: str, alarms: Sequence[LoggedNote]) -> bytes:
    """Return a webhook's body: JSON in ASCII."""
    told = [
        {"id": one.id, "at": one.at.isoformat(), "subject": one.subject, "text": one.text, "about": list(one.about)}
        for one in alarms
    ]
    document = {"apiVersion": VERSION, "kind": "alarms", "cluster": cluster, "alarms": told}
    return json.dumps(document, separators=(",", ":")).encode("ascii")


def signature(secret: bytes, timestamp: int, content: bytes) -> str:
    """Return what shows that *content* comes from who knows the secret, and when: an HMAC-SHA256 over the time, a point
    and the body. A receiver that looks at the time takes nothing twice."""
    return "sha256=" + hmac.new(secret, b"%d.%s" % (timestamp, content), hashlib.sha256).hexdigest()


def mail(cluster: str, alarms: Sequence[LoggedNote], sender: str, to: Sequence[str], now: datetime) -> EmailMessage:
    """Return one mail about all of them."""
    message = EmailMessage()
    first = _plain(alarms[0].subject)
    more = f" and {len(alarms) - 1} more" if len(alarms) > 1 else ""
    message["Subject"] = f"[clues {_plain(cluster)}] alarm: {first}{more}"
    message["From"], message["To"] = sender, ", ".join(to)
    message["Date"] = format_datetime(now)
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: nobody's holiday shall answer
    lines = [f"{one.at:%Y-%m-%d %H:%M:%S} UTC  {_plain(one.subject)}\n    {_plain(one.text)}\n" for one in alarms]
    subject = _plain(alarms[-1].subject)
    lines += [f"More: clues events --about {subject}; clues explain {subject}; clues status", ""]
    message.set_content("\n".join(lines))
    return message


def _plain(text: str) -> str:
    """Return *text* in one line that no reader of mail takes for anything else."""
    return "".join(one if one.isprintable() else " " for one in text)
