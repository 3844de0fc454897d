"""What stands in the fenced blocks of the documentation: commands, configurations, screens."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from textwrap import dedent

ROOT = Path(__file__).parents[2]
#: All pages but the changelog, which tells of commands as they were.
PAGES = sorted({*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")} - {ROOT / "CHANGELOG.md"})

_FENCE = re.compile(r"(?:^[ ]*<!-- ([^\n]+) -->\n)?^([ ]*)```(\w*)\n(.*?)^\2```$", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"`((?:clues|\./dev) [^`\n]+)`")
_PROMPT = re.compile(r"(?:demo|laptop|[\w-]*)?\$ ")
#: Where one command of a line ends and another one begins.
_BREAKS = frozenset({"&&", "||", "|", ";", "&", "(", ")"})


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block: its page, its language, its text without its indentation, and the HTML comment before it."""

    page: Path
    language: str
    text: str
    remark: str = ""


@cache
def blocks() -> tuple[Block, ...]:
    """Return the fenced blocks of all pages."""
    return tuple(
        Block(page, match[3], dedent(match[4]), match[1] or "")
        for page in PAGES
        for match in _FENCE.finditer(page.read_text())
    )


def lines_to_type(block: Block) -> Iterator[str]:
    """Go through what a reader is to type: all of ``sh``, elsewhere what follows a prompt."""
    for line in block.text.replace("\\\n", " ").splitlines():
        prompt = _PROMPT.match(line)
        if prompt:
            yield line[prompt.end() :]
        elif block.language == "sh" or (not block.language and line.startswith(("clues ", "./dev "))):
            yield line


def commands(program: str) -> Iterator[tuple[Path, list[str]]]:
    """Go through the uses of *program* in blocks, each as its page and its arguments."""
    for block in blocks():
        for line in lines_to_type(block):
            for words in _split(line):
                if words[:1] == ["sudo"]:
                    words = words[1:]
                if words[:1] == [program]:
                    yield block.page, words[1:]


def _split(line: str) -> Iterator[list[str]]:
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.wordchars += "[]:,@%+{}"
    words: list[str] = []
    found = iter(lexer)
    for word in found:
        if word in _BREAKS:
            yield words
            words = []
        elif word in (">", ">>", "<"):
            next(found, None)
        else:
            words.append(word)
    yield words


def mentions(program: str) -> Iterator[tuple[Path, list[str]]]:
    """Go through what is named in running text, `` `clues drain` `` or `` `./dev docs --serve` ``."""
    for page in PAGES:
        for match in _INLINE.finditer(_FENCE.sub("", page.read_text())):
            words = match[1].split()
            if words[0] == program:
                yield page, words[1:]
