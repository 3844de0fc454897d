"""Whatever becomes of the file, it is a configuration or one error that tells what is wrong: never a traceback."""

import tempfile
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from clues.config import check, load
from clues.errors import ConfigError
from tests.unit.config_example import EXAMPLE, PLUGINS, write

#: The example without its comments: what is changed in it is changed where it means something.
LINES = [line.split("  #")[0] for line in EXAMPLE.splitlines() if line.strip() and not line.lstrip().startswith("#")]
TEXT = "\n".join(LINES) + "\n"

WORDS = (
    "no yes 010 10:30 .inf .nan ~ null true -1 0 1.5 1e999 99999999999999999999 [] {} [a] {a:b} 'x' "
    "\" ' : - ? & * ! | > % @ ` <<: --- ... # \t \n \x00 \u2028 \ufeff [1-99999] a[1 1GiB 10min USD password: *x"
).split(" ")
PIECES = st.sampled_from(WORDS) | st.text(max_size=8)


@st.composite
def mutations(draw: st.DrawFn) -> bytes:
    """The example with a few pieces put in, taken out or doubled, and sometimes a broken byte."""
    text = TEXT
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.integers(0, 30)))
        match draw(st.sampled_from(["insert", "replace", "remove", "double", "word", "value"])):
            case "insert":
                text = text[:start] + draw(PIECES) + text[start:]
            case "replace":
                text = text[:start] + draw(PIECES) + text[end:]
            case "remove":
                text = text[:start] + text[end:]
            case "double":
                text = text[:end] + text[start:end] + text[end:]
            case "word":
                words = text.split(" ")
                words[draw(st.integers(0, len(words) - 1))] = draw(PIECES)
                text = " ".join(words)
            case _:
                lines = text.split("\n")
                at = draw(st.integers(0, len(lines) - 1))
                lines[at] = lines[at].split(":")[0] + ": " + draw(PIECES)
                text = "\n".join(lines)
    data = text.encode("utf-8", "surrogatepass")
    if draw(st.integers(0, 20)) == 0:
        at = draw(st.integers(0, len(data)))
        data = data[:at] + draw(st.binary(min_size=1, max_size=3)) + data[at:]
    return data


ODD = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats(allow_nan=False)
    | st.sampled_from(
        ["", "a", "0 EUR", "1e5", "9999999d", "0GiB", "[1-3]", "a[1-9]", "::1", "/", "x" * 300, "a\nb", "\x1b[1m"]
    )
    | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["site", "nodes", "cpus", "a"]), inner),
    max_leaves=5,
)


@st.composite
def misfits(draw: st.DrawFn) -> bytes:
    """The example with odd values in places where it had good ones: always YAML, hardly ever a configuration."""
    data = yaml.safe_load(EXAMPLE)
    for _ in range(draw(st.integers(1, 3))):
        at = data
        while True:
            keys = list(at) if isinstance(at, dict) else list(range(len(at)))
            if not keys:
                break
            key = draw(st.sampled_from(keys))
            if isinstance(at[key], dict | list) and draw(st.integers(0, 3)):
                at = at[key]
                continue
            at[key] = draw(ODD)
            break
    return str(yaml.safe_dump(data, sort_keys=False, allow_unicode=True)).encode("utf-8", "surrogatepass")


@settings(max_examples=250, deadline=None)
@given(mutations() | misfits())
def test_a_mutated_file_is_read_or_refused_in_plain_lines(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder), data)
        found = check(path, PLUGINS)
        if found.errors:
            lines = "\n".join(found.errors).splitlines()
            assert len(lines) == len(found.errors)
            assert all(line.startswith(str(path)) and line.encode() for line in lines)
            with pytest.raises(ConfigError):
                load(path, PLUGINS)
        else:
            assert load(path, PLUGINS).settings.pools
