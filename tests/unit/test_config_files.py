"""What is not a configuration file is told in one line: never a traceback, and never at great cost."""

import os
import socket
import time
from pathlib import Path

import pytest

from clues.config import check, load
from clues.errors import ConfigError
from tests.unit.config_example import PLUGINS, SMALL, errors, write

NOT_A_FILE: dict[str, tuple[str | bytes, str]] = {
    "empty": ("", "clues.yaml: is empty"),
    "only comments": ("# nothing\n\n", "clues.yaml: is empty"),
    "a list": ("- a\n- b\n", "clues.yaml:1: begins with a list"),
    "a text": ("hello\n", "clues.yaml:1: begins with a list or a text"),
    "binary": (b"\x7fELF\x02\x01\x01\0\0\0", "clues.yaml: is a binary file"),
    "latin 1": ("cluster: demo\n# Universität\n".encode("latin-1"), "clues.yaml:2: is not UTF-8 from here on"),
    "UTF-16": ("cluster: demo\n".encode("utf-16"), "clues.yaml: is written in UTF-16"),
    "a control character": ("cluster: demo\nstate: a\x07b\n", "clues.yaml:2: the character U+0007 is not allowed"),
    "a tab": ("cluster: demo\nsites:\n\ta: {}\n", "clues.yaml:3: a tab in the indentation"),
    "a tab after spaces": ("cluster: demo\nsites:\n  \ta: {}\n", "clues.yaml:3: a tab in the indentation"),
    "a tab within": ("cluster: demo\nstate: a\t# x\n", "clues.yaml:2: a tab stands where only spaces may"),
    "two documents": ("cluster: a\n---\ncluster: b\n", "clues.yaml:2: a second document begins here"),
    "no colon": ("cluster: demo\nsites\npools: {}\n", "clues.yaml:3: "),
    "an open bracket": ("cluster: [a\nsites: {}\n", "clues.yaml:2: "),
    "an open quote": ('cluster: "demo\nsites: {}\n', "clues.yaml:3: a quote is not closed"),
    "indentation": ("cluster: demo\nsites:\n   a: {}\n  b: {}\n", "clues.yaml:4: the indentation does not fit"),
    "an escape for nothing": ('cluster: "\\UFFFFFFFF"\n', "clues.yaml: holds an escape"),
    "a version for nobody": (f"%YAML 1.{'9' * 5000}\n---\na: 1\n", "clues.yaml: holds an escape"),
    "deep": (f"cluster: {'[' * 50}", "clues.yaml:1: is nested more than 20 levels deep here"),
    "10 MB deep": ("cluster: " + "[" * 10_000_000, "clues.yaml: is larger than 1 MiB"),
    "1 MB deep": ("cluster: " + "[" * 1_000_000, "clues.yaml:1: is nested more than 20 levels deep here"),
    "deep in lines": ("".join(f"{' ' * n}a:\n" for n in range(1000)), "clues.yaml:20: is nested more than 20 levels"),
}

#: What stands where ``demo`` stood, and what is told of it.
WORDS = {
    "no": "no is true or false to some readers of YAML and a text to others: write true or false, or put it in quotes",
    "On": "On is true or false to some readers",
    "010": "010 is an octal number to some readers of YAML: write it without the zero in front, or in quotes",
    "0x1F": "0x1F is a number to some readers of YAML: write it in plain digits, or in quotes",
    "1_000": "1_000 is a number to some readers of YAML: write it without the signs '_', or in quotes",
    "10:30": "10:30 counts in sixties to some readers of YAML: put it in quotes",
    ".inf": ".inf is not a finite number",
    "-.INF": "-.INF is not a finite number",
    ".nan": ".nan is not a finite number",
    "1.0e999": "'1.0e999' is too large a number",
    "9" * 5000: "is too large a number",
    "*x": "aliases ('*name') are not used in this file: write the values out",
    "&x demo": "anchors ('&name') are not used in this file: remove it",
    "!!python/object:os.system demo": "tags ('!name') are not used in this file: remove it",
    "12": "found 12 where a name is expected: put it in quotes",
    "true": "found true where a name is expected: put it in quotes",
}


@pytest.mark.parametrize("name", NOT_A_FILE)
def test_what_is_no_configuration_is_told_in_one_line(tmp_path: Path, name: str) -> None:
    content, told = NOT_A_FILE[name]
    start = time.process_time()
    found = errors(tmp_path, content)
    assert len(found) == 1, found
    assert found[0].startswith(told)
    assert time.process_time() - start < 5


@pytest.mark.parametrize("word", WORDS)
def test_a_word_that_readers_take_differently_is_refused_with_its_cure(tmp_path: Path, word: str) -> None:
    found = errors(tmp_path, SMALL.replace("demo", word))
    assert len(found) == 1, found
    assert found[0].startswith("clues.yaml:1: ")
    assert WORDS[word] in found[0]


@pytest.mark.parametrize("word", ["no", "010", "10:30", ".inf"])
def test_such_a_word_is_refused_as_a_key_too(tmp_path: Path, word: str) -> None:
    found = errors(tmp_path, SMALL.replace("  cpu:\n", f"  {word}:\n"))
    assert len(found) == 1, found
    assert found[0].startswith("clues.yaml:9: pools: as a key, ")


def test_a_number_is_no_key(tmp_path: Path) -> None:
    found = errors(tmp_path, SMALL.replace("  cpu:\n", "  7:\n"))
    assert found == ["clues.yaml:9: pools: the key 7 is not a text: put it in quotes"]


def test_a_key_stands_once(tmp_path: Path) -> None:
    found = errors(tmp_path, SMALL.replace("    shape", "    nodes: cpu-[1-9]\n    shape"))
    assert found == ["clues.yaml:11: pools.cpu.nodes: stands here a second time: it stands in line 10 already"]


@pytest.mark.parametrize("written", ["*x : 1", "[*x]: 1", "? {a: 1}\n: 1", "? |\n  a\n: 1"])
def test_a_key_is_a_word(tmp_path: Path, written: str) -> None:
    found = errors(tmp_path, f"{SMALL}{written}\n")
    assert found
    assert all(error.startswith("clues.yaml:14: ") for error in found)


def test_merge_keys_are_refused(tmp_path: Path) -> None:
    found = errors(tmp_path, SMALL.replace("    shape", "    <<: {idle: 1h}\n    shape"))
    assert found == ["clues.yaml:11: pools.cpu: merge keys ('<<') are not used in this file: write the keys out"]


def test_every_line_with_a_tab_is_told(tmp_path: Path) -> None:
    found = errors(tmp_path, "cluster: demo\nsites:\n\ta: {}\npools:\n\tb: {}\n")
    assert [error.split(": ")[0] for error in found] == ["clues.yaml:3", "clues.yaml:5"]


def test_tabs_in_comments_and_blanks_at_the_end_of_lines_harm_nobody(tmp_path: Path) -> None:
    assert errors(tmp_path, SMALL.replace("pools:", "  \npools:  # a\tcomment")) == []


def test_a_byte_order_mark_and_windows_line_ends_harm_nobody(tmp_path: Path) -> None:
    assert errors(tmp_path, b"\xef\xbb\xbf" + SMALL.replace("\n", "\r\n").encode()) == []


def test_a_large_file_of_sense_is_still_read(tmp_path: Path) -> None:
    pools = "".join(
        f"  p{n}: {{nodes: 'p{n}-[1-9]', shape: {{cpus: 1, memory: 1GiB}}, "
        "offers: [{site: a, flavor: small, image: x}]}\n"
        for n in range(300)
    )
    assert str(check(write(tmp_path, SMALL + pools), PLUGINS).summary) == "1 sites, 301 pools, 2704 nodes, 301 offers"


@pytest.mark.parametrize("kind", ["nothing", "folder", "pipe", "socket", "loop"])
def test_what_cannot_be_read_is_told_and_holds_nobody_up(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "clues.yaml"
    told = {
        "nothing": "No such file or directory",
        "folder": "Is a directory",
        "pipe": "it is not a regular file",
        "socket": "No such device or address",
        "loop": "Too many levels of symbolic links",
    }[kind]
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "loop":
        path.symlink_to(path)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(str(path))
    with pytest.raises(ConfigError) as caught:
        load(path, PLUGINS)
    assert str(caught.value) == f"{path}: cannot be read: {told}"


def test_the_file_is_left_as_it_was(tmp_path: Path) -> None:
    path = write(tmp_path, SMALL)
    path.chmod(0o400)
    before = path.stat()
    load(path, PLUGINS)
    after = path.stat()
    assert (after.st_mtime_ns, after.st_mode) == (before.st_mtime_ns, before.st_mode)
    assert list(tmp_path.iterdir()) == [path]
