"""Takes secrets out of what is handed to strangers: by the names of keys, and by what secrets look like.

Rather too much than too little: whoever reads a report can ask for what is missing.
"""

from __future__ import annotations

import re
from typing import Any

MARK = "[removed]"

_NAME = re.compile(
    r"passw|passphrase|secret|token|credential|ticket|(api|private|access)[_-]?key|cookie", re.IGNORECASE
)
_RULES: tuple[tuple[re.Pattern[str], str], ...] = (
    (
        re.compile(r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----.*?(?:-----END [A-Z0-9 ]*PRIVATE KEY-----|\Z)", re.DOTALL),
        MARK,
    ),
    # of a URL its host says where, and the rest may say with what right
    (re.compile(r"\b([a-z][a-z0-9+.-]*://)(?:[^/\s@\"']*@)?([^/\s\"'?#]+)[^\s\"']*", re.IGNORECASE), r"\1\2"),
    (re.compile(r"(?i)\b(authorization\b[\"']?\s*[:=]\s*)[^\n]+"), rf"\1{MARK}"),
    (re.compile(r"(?i)\b((?:bearer|basic)\s+)\S{4,}"), rf"\1{MARK}"),
    (
        re.compile(r"(?i)((?:passw\w*|passphrase|secret|token|ticket|api_?key)\b[\"']?\s*[=:]\s*)[^\s,;}]+"),
        rf"\1{MARK}",
    ),
    # Amazon's access keys
    (re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{12,}\b"), MARK),
    (re.compile(r"[A-Za-z0-9+/=_-]{40,}"), MARK),
)


def scrub(value: Any, name: str = "") -> Any:
    """Return *value* (parsed JSON or YAML) without secrets; *name* is the key that it stands under."""
    if isinstance(value, dict):
        return {key: scrub(part, str(key)) for key, part in value.items()}
    if _NAME.search(name) and value not in (None, "", [], True, False) and not isinstance(value, int | float):
        return MARK
    if isinstance(value, list):
        return [scrub(part) for part in value]
    return scrub_text(value) if isinstance(value, str) else value


def scrub_text(text: str) -> str:
    """Return a text without what looks like a secret."""
    for pattern, instead in _RULES:
        text = pattern.sub(instead, text)
    return text
