"""What the documentation tells people to type can be typed, and what it shows is what is shown."""

from __future__ import annotations

import contextlib
import io
import re
from argparse import ArgumentParser
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from clues import templates
from clues.cli.commands import COMMANDS
from clues.cli.parser import build_parser
from clues.config import check
from clues.config.models import File
from clues.config.sections import keys_of
from clues.config.site_models import SiteSection
from clues.planner.explain import explain
from clues.registry import find_plugins
from clues.simulation import soak
from tests.lab.bench import __main__ as bench
from tests.lab.demo import __main__ as demo
from tests.unit.builders import hybrid
from tests.unit.docs_blocks import PAGES, ROOT, Block, blocks, commands, mentions

GOLDEN = ROOT / "tests" / "golden" / "cli"


def _ids(page: Path) -> str:
    return str(page.relative_to(ROOT))


def _refusal(parse: Callable[[list[str]], object], words: list[str]) -> str:
    """Return what a parser says against these words; help counts as fine."""
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
            parse(words)
    except SystemExit as end:
        return said.getvalue() if end.code else ""
    return ""


@pytest.mark.parametrize("page", PAGES, ids=_ids)
def test_every_clues_command_can_be_typed(page: Path) -> None:
    parser = build_parser({})
    wrong = {
        " ".join(words): said
        for one, words in commands("clues")
        if one == page and (said := _refusal(parser.parse_args, words))
    }
    assert wrong == {}


def test_commands_are_found_in_pages() -> None:
    """So that a change of how they are found does not leave these tests with nothing to do."""
    assert sum(1 for _ in commands("clues")) > 80
    assert sum(1 for _ in commands("./dev")) > 5
    assert sum(1 for block in blocks() if block.language == "yaml") > 15


_KNOWN = {command.words for command in COMMANDS}


def test_every_clues_command_that_is_named_exists() -> None:
    wrong = [(_ids(page), " ".join(words)) for page, words in mentions("clues") if not _is_named_rightly(words)]
    assert wrong == []


def _is_named_rightly(words: list[str]) -> bool:
    """Tell whether what is named is a command, or a group of some, with options that it has."""
    if words[0].startswith("-") or not words[0].islower():
        return True  # options of all, or a placeholder
    depth = max((n for n in (1, 2, 3) if any(one[:n] == tuple(words[:n]) for one in _KNOWN)), default=0)
    options = [word.strip("[]") for word in words[depth:] if word.strip("[]").startswith("-")]
    known = _options_of(tuple(words[:depth]))
    return depth > 0 and all(option.partition("=")[0] in known for option in options)


def _options_of(words: tuple[str, ...]) -> set[str]:
    found = {"-o", "--output", "--socket", "-h", "--help"}
    for command in COMMANDS:
        if command.words == words:
            parser = ArgumentParser()
            command.arguments(parser)
            found |= {option for action in parser._actions for option in action.option_strings}
    return found


_DEV_LIST = re.search(r"commands='(.*?)'", (ROOT / "dev").read_text(), re.DOTALL)
_DEV_PARSERS: dict[str, Callable[[], ArgumentParser]] = {
    "demo": demo.build_parser,
    "bench": bench.build_parser,
    "soak": soak.build_parser,
}


def test_every_dev_command_exists() -> None:
    assert _DEV_LIST is not None
    known = {line.split()[0] for line in _DEV_LIST[1].splitlines()} | {"COMMAND"}
    uses = [*commands("./dev"), *mentions("./dev")]
    wrong = [(_ids(page), " ".join(words)) for page, words in uses if words and not _can_be_run(words, known)]
    assert wrong == []


def _can_be_run(words: list[str], known: set[str]) -> bool:
    if words[0] not in known:
        return False
    parser = _DEV_PARSERS.get(words[0])
    if parser is None or len(words) == 1 or any(word.startswith("[") or word.isupper() for word in words):
        return True  # its options are the shell's to read, or a placeholder stands there
    return not _refusal(parser().parse_args, words[1:])


# --- configurations -----------------------------------------------------------------------------------------

#: Files of others that pages show, by their keys.
_FOREIGN = {"clouds", "scrape_configs", "rule_files", "apiVersion"}
#: A connector that a page has its reader write.
_THEIR_OWN = "pebble"


def _yaml_blocks() -> list[Block]:
    return [block for block in blocks() if block.language == "yaml"]


def whole(part: dict[str, Any]) -> dict[str, Any]:
    """Return the example configuration with the part that a page shows put in place."""
    base: dict[str, Any] = yaml.safe_load(templates.read("clues.yaml"))
    del base["pools"]["gpu"]["keep_warm"]  # which an eager pool may not have
    if part.keys() <= set(keys_of(SiteSection)) | {"oidc"} and not part.keys() <= set(keys_of(File)):
        part = {"sites": {"cesnet": part}}
    for key, value in part.items():
        if key in ("sites", "pools"):
            for name, one in value.items():
                before = {} if "connector" in one or "offers" in one else base[key].get(name, {})
                base[key][name] = {**before, **one}
        elif isinstance(value, dict):
            base[key] = {**base.get(key, {}), **value}
        else:
            base[key] = value
    return base


PLUGINS = find_plugins()


def _mistakes(folder: Path, part: dict[str, Any]) -> tuple[str, ...]:
    path = folder / "clues.yaml"
    path.write_text(yaml.safe_dump(whole(part)))
    return tuple(check(path, PLUGINS).errors)


@pytest.mark.parametrize("block", _yaml_blocks(), ids=lambda block: _ids(block.page))
def test_every_configuration_is_good(block: Block, tmp_path: Path) -> None:
    part = yaml.safe_load(block.text)
    if part.keys() & _FOREIGN:
        pytest.skip("a file of another program")
    if _THEIR_OWN in block.text:
        pytest.skip("the reader's own connector")
    assert _mistakes(tmp_path, part) == ()


def test_a_configuration_with_a_mistake_would_be_seen(tmp_path: Path) -> None:
    assert "idel" in str(_mistakes(tmp_path, {"pools": {"gpu": {"idel": "10min"}}}))


# --- screens ------------------------------------------------------------------------------------------------


def _screens() -> list[Block]:
    return [block for block in blocks() if block.remark.startswith("screen: ")]


@pytest.mark.parametrize("block", _screens(), ids=lambda block: f"{_ids(block.page)}-{block.remark}")
def test_every_screen_is_what_the_example_cluster_prints(block: Block) -> None:
    """``<!-- screen: NAME -->`` is one of tests/golden/cli, ``<!-- screen: explain SUBJECT -->`` what explain says."""
    command, _, shown = block.text.partition("\n")
    name = block.remark.removeprefix("screen: ").strip()
    if name.startswith("explain "):
        printed = explain(hybrid(), name.removeprefix("explain "), []) + "\n"
        assert command.endswith(f"clues {name}")
    else:
        printed = (GOLDEN / f"{name}.txt").read_text()
    assert shown == printed
