"""XML-RPC and the XML inside it, written and read with nothing that a stranger could turn against the reader.

The standard library's own reader believes in entities, and so does :mod:`xml.etree`: a reply of a kilobyte may grow to
gigabytes. Entities are declared in a document type, which XML allows before the root element only, and which OpenNebula
never sends: so :func:`parse` wants the root element to come first, and what comes first decides. What is left for
a parser is five predefined entities.

OpenNebula passes on what its users have written, control characters included, which XML forbids even when escaped. One
user's odd label must not make a whole site unreadable: they are taken out of a text that cannot be parsed with them.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Callable, Mapping
from xml.sax.saxutils import escape

Value = bool | int | str | list["Value"]

#: Before the root element: at most the XML declaration.
_PROLOG = re.compile(r"\s*(?:<\?xml[^<>]*\?>)?\s*<[A-Za-z_]")
_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]|&#(?:x0*[0-9a-fA-F]{1,2}|0*[0-9]{1,2});")
_PRINTABLE_REFERENCE = re.compile(r"&#(?:x0*(?:[2-9a-fA-F][0-9a-fA-F]|9|[aAdD])|0*(?:9|10|13|3[2-9]|[4-9][0-9]));")
#: An element takes some hundred bytes of memory, and may be sent in four; ten thousand VMs have three million tags.
_MOST_TAGS = 4_000_000
#: values in values
_DEEPEST = 16


class Unreadable(ValueError):
    """This is not what an OpenNebula front-end answers. Its text says what is wrong, and quotes nothing of the reply:
    that may hold tokens, passwords and user-data."""


class Fault(Exception):
    """The call was not even understood: a wrong method, a wrong number or type of arguments."""

    def __init__(self, code: int, words: str) -> None:
        super().__init__(f"{code}: {words}")
        self.code, self.words = code, words


def parse(text: str) -> ET.Element:
    """Return the root element of a text.

    :raises Unreadable: it is no XML, or has a document type.
    """
    if not _PROLOG.match(text):
        raise Unreadable("it does not begin as XML without a document type does")
    if text.count("<") > _MOST_TAGS:
        raise Unreadable("it has more elements than any listing")
    try:
        return _parse(text)
    except ET.ParseError:
        pass
    try:
        return _parse(_FORBIDDEN.sub(_harmless, text))
    except ET.ParseError as error:
        raise Unreadable(f"it is no XML: {error}") from None


def _parse(text: str) -> ET.Element:
    return ET.fromstring(text)  # noqa: S314 - there is no document type, see above


def _harmless(match: re.Match[str]) -> str:
    return match[0] if _PRINTABLE_REFERENCE.fullmatch(match[0]) else "\N{REPLACEMENT CHARACTER}"


def text_element(name: str, text: str) -> str:
    """Return an element that holds a text. CDATA is what OpenNebula reads most safely; it cannot hold its own end."""
    return f"<{name}>{escape(text)}</{name}>" if "]]>" in text else f"<{name}><![CDATA[{text}]]></{name}>"


# --- calls --------------------------------------------------------------------------------------------------------


def request(method: str, *arguments: bool | int | str) -> str:
    """Return the body of a call."""
    params = "".join(f"<param><value>{_written(one)}</value></param>" for one in arguments)
    return f'<?xml version="1.0"?>\n<methodCall><methodName>{method}</methodName><params>{params}</params></methodCall>'


def _written(value: bool | int | str) -> str:
    match value:
        case bool():
            return f"<boolean>{int(value)}</boolean>"
        case int():
            return f"<int>{value}</int>"
        case _:
            return f"<string>{escape(value)}</string>"


def reply(text: str) -> Value:
    """Return the value that a reply holds.

    :raises Fault: it is a fault.
    :raises Unreadable: it is no reply.
    """
    root = parse(text)
    if root.tag != "methodResponse":
        raise Unreadable("it is not an XML-RPC reply")
    if (fault := root.find("fault/value/struct")) is not None:
        members = {member.findtext("name", ""): member.find("value") for member in fault.findall("member")}
        code, words = (members.get(name) for name in ("faultCode", "faultString"))
        if code is None or words is None:
            raise Unreadable("it is a fault that says nothing")
        raise Fault(int(str(_read(code))), str(_read(words)))
    values = root.findall("params/param/value")
    if len(values) != 1:
        raise Unreadable("it holds no value, or several")
    return _read(values[0])


_INTEGER = re.compile(r"[+-]?[0-9]{1,18}")


def _integer(text: str) -> int:
    if not _INTEGER.fullmatch(text.strip()):
        raise Unreadable("an integer in it is none")
    return int(text)


_SCALARS: Mapping[str, Callable[[str], Value]] = {
    "string": str,
    "int": _integer,
    "i4": _integer,
    "i8": _integer,
    "boolean": lambda text: bool(_integer(text)),
}


def _read(value: ET.Element, depth: int = 0) -> Value:
    if len(value) == 0:
        return value.text or ""
    inner = value[0]
    if (scalar := _SCALARS.get(inner.tag)) is not None and len(inner) == 0:
        return scalar(inner.text or "")
    if inner.tag == "array" and depth < _DEEPEST:
        return [_read(one, depth + 1) for one in inner.findall("data/value")]
    raise Unreadable("it holds a value of a type that OpenNebula does not use")
