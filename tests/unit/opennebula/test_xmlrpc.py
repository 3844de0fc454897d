"""What comes back is read with nothing that could be turned against the reader, and written so that it arrives."""

from __future__ import annotations

import subprocess
import sys
import xmlrpc.client as xmlrpc_client

import pytest

from connectors.opennebula import records, xmlrpc
from connectors.opennebula.xmlrpc import Fault, Unreadable

BOMB = (
    '<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY a "ha">'
    + "".join(f'<!ENTITY {chr(98 + n)} "{f"&{chr(97 + n)};" * 10}">' for n in range(9))
    + "]><VM_POOL>&j;</VM_POOL>"
)
DOCTYPES = {
    "bomb": BOMB,
    "quadratic": f'<!DOCTYPE x [<!ENTITY a "{"x" * 1000}">]><x>{"&a;" * 1000}</x>',
    "external": '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/hostname">]><x>&a;</x>',
    "parameter": '<!DOCTYPE x [<!ENTITY % a SYSTEM "http://127.0.0.1/x"> %a;]><x/>',
    "bare": "<!DOCTYPE x><x/>",
    "after the declaration": '<?xml version="1.0"?>\n<!DOCTYPE x><x/>',
    "after a comment": "<!-- c --><!DOCTYPE x><x/>",
    "after an instruction": "<?pi x?><!DOCTYPE x><x/>",
    "html": "<!DOCTYPE html><html><body>log in</body></html>",
}


@pytest.mark.parametrize("text", DOCTYPES.values(), ids=DOCTYPES.keys())
def test_a_document_type_is_not_read(text: str) -> None:
    with pytest.raises(Unreadable):
        xmlrpc.parse(text)


def test_a_bomb_costs_no_memory() -> None:
    program = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_AS, (400 * 2**20,) * 2);"
        "from connectors.opennebula import xmlrpc\n"
        "try: xmlrpc.parse(sys.stdin.read())\n"
        "except xmlrpc.Unreadable: print('unreadable')"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], input=BOMB, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout == "unreadable\n", done.stderr


def test_a_document_type_that_is_only_text_is_text() -> None:
    root = xmlrpc.parse("<x><![CDATA[<!DOCTYPE html>&bomb;]]></x>")
    assert root.text == "<!DOCTYPE html>&bomb;"


def test_an_entity_that_is_not_predefined_is_unreadable() -> None:
    with pytest.raises(Unreadable):
        xmlrpc.parse("<x>&a;</x>")
    assert xmlrpc.parse("<x>&lt;&amp;&gt;&quot;&apos;&#65;</x>").text == "<&>\"'A"


@pytest.mark.parametrize("text", ["", " ", "\x00", "{}", "<", "<x>", "<x></y>", "<x/><y/>", "x<x/>", "<x a=1/>"])
def test_what_is_broken_is_unreadable_and_not_quoted(text: str) -> None:
    with pytest.raises(Unreadable) as caught:
        xmlrpc.parse(text + "SECRET")
    assert "SECRET" not in str(caught.value)


def test_more_elements_than_any_listing_are_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xmlrpc, "_MOST_TAGS", 1000)
    assert len(xmlrpc.parse(f"<x>{'<y/>' * 998}</x>")) == 998
    with pytest.raises(Unreadable):
        xmlrpc.parse(f"<x>{'<y/>' * 1000}</x>")


@pytest.mark.parametrize("odd", ["\x00", "\x1b", "\x0b", "\ufffe", "&#0;", "&#x1B;", "&#12;"])
def test_a_control_character_does_not_make_all_unreadable(odd: str) -> None:
    root = xmlrpc.parse(f"<VM><ID>7</ID><NAME>a{odd}b</NAME><TEXT>&#10;&#x41;</TEXT></VM>")
    assert root.findtext("NAME") == "a\ufffdb"
    assert root.findtext("ID") == "7"
    assert root.findtext("TEXT") == "\nA"


def test_a_call_is_what_another_implementation_reads() -> None:
    text = xmlrpc.request("one.x", "clues:p<&]]>ä", True, False, -3, 2**31 - 1, "")
    arguments, method = xmlrpc_client.loads(text)
    assert method == "one.x"
    assert arguments == ("clues:p<&]]>ä", True, False, -3, 2**31 - 1, "")
    assert [type(one) for one in arguments[1:4]] == [bool, bool, int]


def test_a_reply_of_another_implementation_is_read() -> None:
    sent = [False, "no <way> & \u00e4", 512, -1, -1]
    assert xmlrpc.reply(xmlrpc_client.dumps((sent,), methodresponse=True)) == sent
    assert xmlrpc.reply(xmlrpc_client.dumps(("",), methodresponse=True)) == ""
    assert xmlrpc.reply(xmlrpc_client.dumps(([True, [1, [2]], 0],), methodresponse=True)) == [True, [1, [2]], 0]


def test_a_value_without_a_type_is_text() -> None:
    assert xmlrpc.reply("<methodResponse><params><param><value>x</value></param></params></methodResponse>") == "x"


def test_a_fault_is_its_own_exception() -> None:
    with pytest.raises(Fault) as caught:
        xmlrpc.reply(xmlrpc_client.dumps(xmlrpc_client.Fault(-506, "no such method")))
    assert (caught.value.code, caught.value.words) == (-506, "no such method")


@pytest.mark.parametrize(
    "inner",
    [
        "",
        "<params/>",
        "<params><param><value><int>1</int></value></param><param><value><int>2</int></value></param></params>",
        "<params><param><value><int>x</int></value></param></params>",
        f"<params><param><value><int>{'9' * 5000}</int></value></param></params>",
        "<params><param><value><base64>eA==</base64></value></param></params>",
        "<params><param><value><string><b/></string></value></param></params>",
        "<fault><value><struct/></value></fault>",
        "<params><param><value>"
        + "<array><data><value>" * 5000
        + "</value></data></array>" * 5000
        + "</value></param></params>",
    ],
)
def test_a_reply_of_another_shape_is_unreadable(inner: str) -> None:
    with pytest.raises(Unreadable):
        xmlrpc.reply(f"<methodResponse>{inner}</methodResponse>")


def test_attributes_are_written_so_that_they_come_back_as_they_were() -> None:
    content = (
        ("PLAIN", "text"),
        ("ODD", "<b>\"'&]]>\n$X [1]"),
        ("VECTOR", {"A": "1 ]]> 2", "B": "<![CDATA[x]]>", "EMPTY": ""}),
    )
    assert records.attributes(xmlrpc.parse(records.render(content))) == content


@pytest.mark.parametrize("lacking", ["ID", "UID", "STATE", "LCM_STATE", "STIME"])
def test_half_a_vm_is_unreadable(lacking: str) -> None:
    names = ("ID", "UID", "STATE", "LCM_STATE", "STIME", "ETIME")
    whole = "".join(f"<{name}>1</{name}>" for name in names)
    assert records.vm(xmlrpc.parse(f"<VM>{whole}</VM>")).id == 1
    for half in (whole.replace(f"<{lacking}>1</{lacking}>", ""), whole.replace(f"<{lacking}>1", f"<{lacking}>x")):
        with pytest.raises(Unreadable):
            records.vm(xmlrpc.parse(f"<VM>{half}</VM>"))
