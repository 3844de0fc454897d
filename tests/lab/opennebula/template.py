"""The language in which OpenNebula describes everything: attributes that are text, or *vectors* of text.

A template is read from ``KEY = "value"`` and ``KEY = [ A = "b", C = "d" ]`` lines, or from XML; names become upper
case. Templates are merged by name: what comes later replaces all attributes of its name, vectors as a whole.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping
from xml.sax.saxutils import escape

Vector = dict[str, str]
Value = str | Vector

#: Attributes of a VM's own TEMPLATE; all others go to its USER_TEMPLATE.
KNOWN = frozenset(
    "CONTEXT CPU CPU_COST DISK DISK_COST EMULATOR FEATURES GRAPHICS INPUT MEMORY MEMORY_COST NIC NIC_ALIAS "
    "NIC_DEFAULT OS PCI RAW TEMPLATE_ID TOPOLOGY VCPU VMGROUP".split()
)

#: What only oneadmin's group may set (oned.conf as it is installed).
RESTRICTED: Mapping[str, frozenset[str]] = {
    "CONTEXT": frozenset({"FILES"}),
    "NIC": frozenset(
        "MAC VLAN_ID BRIDGE FILTER FILTER_IP_SPOOFING FILTER_MAC_SPOOFING INBOUND_AVG_BW OUTBOUND_AVG_BW".split()
    ),
    "DISK": frozenset("TOTAL_BYTES_SEC TOTAL_IOPS_SEC SIZE_IOPS_SEC ORIGINAL_SIZE".split()),
    "TOPOLOGY": frozenset({"PIN_POLICY", "HUGEPAGE_SIZE"}),
    **{name: frozenset() for name in "CPU_COST MEMORY_COST DISK_COST PCI EMULATOR RAW USER_PRIORITY DEPLOY_ID".split()},
}

_TOKEN = re.compile(
    r"(?P<blank>\s+|\#[^\n]*)|(?P<word>[A-Za-z_][A-Za-z0-9_/.:-]*|[0-9][A-Za-z0-9_.:/-]*)"
    r'|"(?P<text>(?:[^"\\]|\\.)*)"|(?P<sign>[=\[\],])',
    re.DOTALL,
)


class ParseError(ValueError):
    """This is no template."""


class Template:
    """Attributes in their order; several may have one name."""

    def __init__(self, pairs: list[tuple[str, Value]] | None = None) -> None:
        self.pairs: list[tuple[str, Value]] = list(pairs or [])

    def __iter__(self) -> Iterator[tuple[str, Value]]:
        return iter(self.pairs)

    def text(self, name: str, default: str = "") -> str:
        """Return the last single attribute of a name."""
        found = [value for key, value in self.pairs if key == name and isinstance(value, str)]
        return found[-1] if found else default

    def number(self, name: str, default: float = 0.0) -> float:
        """Return a single attribute as a number."""
        return float(self.text(name) or default)

    def vectors(self, name: str) -> list[Vector]:
        """Return the vector attributes of a name."""
        return [value for key, value in self.pairs if key == name and isinstance(value, dict)]

    def merged(self, other: Template) -> Template:
        """Return this with all that *other* names replaced; an empty vector only removes."""
        names = {key for key, _ in other.pairs}
        kept = [(key, value) for key, value in self.pairs if key not in names]
        return Template(kept + [(key, value) for key, value in other.pairs if value != {}]).copy()

    def put(self, name: str, value: Value) -> None:
        """Replace all attributes of a name by one."""
        self.pairs = [(key, old) for key, old in self.pairs if key != name] + [(name, value)]

    def copy(self) -> Template:
        """Return a copy that shares nothing."""
        return Template([(key, dict(value) if isinstance(value, dict) else value) for key, value in self.pairs])

    def only(self, names: frozenset[str], *, without: bool = False) -> Template:
        """Return the attributes with (or without) these names."""
        return Template([(key, value) for key, value in self.pairs if (key in names) != without])

    def forbidden(self, base: Template) -> str:
        """Return the name of an attribute that a user may not set to this over *base*; empty when all may be.

        What the base template has may be repeated as it is; a vector that leaves it out is as bad as one that adds it.
        """
        for name, inner in RESTRICTED.items():
            if not inner:
                mine = [value for key, value in self.pairs if key == name]
                if mine and mine != [value for key, value in base.pairs if key == name]:
                    return name
                continue
            vectors = self.vectors(name)
            if vectors and _values(vectors, inner) != _values(base.vectors(name), inner):
                return name
        return ""

    def xml(self, tag: str = "TEMPLATE") -> str:
        """Return it as XML, as oned writes it."""
        parts = []
        for key, value in self.pairs:
            inner = (
                cdata(value) if isinstance(value, str) else "".join(f"<{k}>{cdata(v)}</{k}>" for k, v in value.items())
            )
            parts.append(f"<{key}>{inner}</{key}>")
        return f"<{tag}>{''.join(parts)}</{tag}>"


def _values(vectors: list[Vector], names: frozenset[str]) -> list[str]:
    return sorted(name + vector[name] for vector in vectors for name in names if name in vector)


def cdata(text: str) -> str:
    """Return text as oned puts it into XML."""
    return escape(text) if "]]>" in text else f"<![CDATA[{text}]]>"


def parse(text: str) -> Template:
    """Return the template that *text* is, whichever way it is written.

    :raises ParseError: it is neither.
    """
    return _from_xml(text) if text.lstrip().startswith("<") else Template(list(_from_text(text)))


def _from_xml(text: str) -> Template:
    try:
        root = ET.fromstring(text)  # noqa: S314 - what a test sends
    except ET.ParseError as error:
        raise ParseError(str(error)) from error
    pairs: list[tuple[str, Value]] = []
    for element in root:
        inner = {child.tag.upper(): child.text or "" for child in element}
        pairs.append((element.tag.upper(), inner or (element.text or "")))
    return Template(pairs)


def _from_text(text: str) -> Iterator[tuple[str, Value]]:
    tokens = list(_tokens(text))
    at = 0

    def take(*kinds: str) -> str:
        nonlocal at
        if at >= len(tokens) or tokens[at][0] not in kinds:
            found = tokens[at][1] if at < len(tokens) else "the end"
            raise ParseError(f"syntax error, unexpected {found}, expecting {' or '.join(kinds)}")
        at += 1
        return tokens[at - 1][1]

    while at < len(tokens):
        name = take("word").upper()
        take("=")
        if at < len(tokens) and tokens[at][0] == "[":
            take("[")
            vector: Vector = {}
            while tokens[at : at + 1] and tokens[at][0] != "]":
                inner = take("word").upper()
                take("=")
                vector[inner] = take("text", "word")
                if tokens[at : at + 1] and tokens[at][0] == ",":
                    take(",")
            take("]")
            yield name, vector
        else:
            yield name, take("text", "word")


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise ParseError(f"syntax error, unexpected {text[at]!r}")
        at = match.end()
        if match["word"]:
            yield "word", match["word"]
        elif match["text"] is not None:
            yield "text", re.sub(r"\\(.)", r"\1", match["text"], flags=re.DOTALL)
        elif match["sign"]:
            yield match["sign"], match["sign"]
