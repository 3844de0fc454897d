"""Sends, once, and says by an error what went wrong. Runs on a lane, so it may take its time, but never for ever."""

from __future__ import annotations

import os
import smtplib
import ssl
import stat
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from urllib.parse import urlsplit

from clues.config import Mail, Webhook
from clues.errors import AuthFailed, InvalidRequest, Transient
from clues.model import LoggedNote
from clues.notify import message

_TIMEOUT = 10.0
#: Longer ones are keys of something else.
_LONGEST_SECRET = 4096


def send_webhook(hook: Webhook, cluster: str, alarms: Sequence[LoggedNote], now: datetime) -> None:
    """Post the alarms.

    :raises CloudError: it was not taken; the text names the host alone, since the rest of a URL may be secret.
    """
    import requests  # takes longer than a tick, and most clusters have no webhook

    secret, content, at = _secret(hook.secret), message.body(cluster, alarms), int(now.timestamp())
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "clues",
        "X-Clues-Timestamp": str(at),
        "X-Clues-Signature": message.signature(secret, at, content),
        "X-Clues-Delivery": f"{alarms[0].id}-{alarms[-1].id}",
    }
    host = urlsplit(hook.url).hostname
    try:
        with requests.Session() as session:
            session.trust_env = False  # neither a proxy nor a password out of somebody's environment
            answer = session.post(
                hook.url, data=content, headers=headers, timeout=_TIMEOUT, allow_redirects=False, stream=True
            )
            answer.close()
    except requests.RequestException as error:
        raise Transient(f"{host} cannot be reached ({type(error).__name__})") from None
    if not 200 <= answer.status_code < 300:
        raise Transient(f"{host} answered with HTTP {answer.status_code}")


def send_mail(mail: Mail, cluster: str, alarms: Sequence[LoggedNote], now: datetime) -> None:
    """Hand one mail to the server, encrypted unless the server is this machine.

    :raises CloudError: the server did not take it, or not for everybody.
    """
    made = message.mail(cluster, alarms, mail.sender, mail.to, now)
    try:
        with smtplib.SMTP(mail.server.host, mail.server.port, timeout=_TIMEOUT) as server:
            if not mail.local:
                server.starttls(context=ssl.create_default_context())
            refused = server.send_message(made)
    except (OSError, smtplib.SMTPException) as error:
        raise Transient(f"{mail.server.host} did not take the mail: {type(error).__name__} {error}"[:300]) from error
    if refused:
        raise Transient(f"{mail.server.host} did not take the mail for {', '.join(sorted(refused))}")


def _secret(reference: str) -> bytes:
    """Return the secret of a file or a systemd credential; it is read each time, so a new one needs no reload.

    :raises CloudError: it cannot be read, others can read it, or it is empty.
    """
    folder = os.environ.get("CREDENTIALS_DIRECTORY", "")
    path = Path(reference) if "/" in reference else Path(folder or "/etc/clues/credentials") / reference
    try:
        mode = path.stat().st_mode
        if mode & 0o077 and str(path.parent) != folder:
            raise AuthFailed(f"{path} can be read by others ({stat.filemode(mode)}): `chmod 600 {path}`")
        with path.open("rb") as file:
            secret = file.read(_LONGEST_SECRET).strip()
    except OSError as error:
        raise AuthFailed(f"{path}: {error.strerror}: put the secret there, readable for cluesd's user alone") from error
    if len(secret) < 16:
        raise InvalidRequest(f"{path}: a secret has at least 16 signs: `openssl rand -hex 32 > {path}`")
    return secret
