"""``notify`` of ``clues.yaml``: who is told of alarms, where no Prometheus does that."""

from __future__ import annotations

import re
from typing import Annotated, ClassVar

from pydantic import BeforeValidator

from clues.config.fields import Line, Words, as_list, as_name, key, url_parts
from clues.config.mistakes import show
from clues.config.network_fields import Address, Endpoint
from clues.config.section import Section

#: Hosts that are this machine.
LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})


def _url(value: object) -> str:
    text = as_name(value)
    parts = url_parts(text)
    if parts.scheme not in ("https", "http") or not parts.hostname or parts.username or parts.fragment or " " in text:
        raise ValueError("is not a URL to post to: write https://host/path, without a user or password")
    if parts.scheme == "http" and parts.hostname not in LOCAL:
        raise ValueError("http can be read and changed on its way: use https (http only to this machine)")
    return text


def _mail_address(value: object) -> str:
    text = as_name(value)
    if not re.fullmatch(r"[A-Za-z0-9.!#$%&'*+/=?^_{|}~-]{1,64}@[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?", text):
        raise ValueError(f"{show(text)} is not a mail address: write it without a name, such as ops@example.org")
    return text


Url = Annotated[str, BeforeValidator(_url), Words("URL: `https://host/path`")]
MailAddress = Annotated[str, BeforeValidator(_mail_address), Words("mail address")]
MailAddresses = Annotated[tuple[MailAddress, ...], BeforeValidator(as_list), Words("mail address, or a list of them")]


class WebhookSection(Section):
    """A program somewhere that is told by HTTP, and can know that it was told by this cluster."""

    alone: ClassVar[bool] = True

    url: Url = key("Where alarms are posted to, as JSON. It is shown nowhere, as it may hold a secret.")
    secret_file: Line = key(
        "The file, or the systemd credential, of the secret that signs what is posted; only `cluesd` may read it."
    )


class MailSection(Section):
    """Mail to people."""

    to: MailAddresses = key("To whom.")
    sender: MailAddress | None = key("From whom. Without it: `clues@` and the front-end's name.", None)
    server: Address = key(
        "The SMTP server that takes it. One that is not this machine has to speak STARTTLS with a valid certificate.",
        Endpoint("localhost", 25),
    )


class NotifySection(Section):
    """Who is told of each alarm as it is written into the event log: a budget that is reached, credentials that end, a
    pool that is closed, a VM that nobody knew or nobody may end."""

    webhooks: list[WebhookSection] = key("Programs that are told.", default_factory=list)
    mail: MailSection | None = key("People who are told. Without it: nobody.", None)
