"""The reference that is committed is the one that the models give."""

from pydantic import BaseModel

from clues.config.models import File
from clues.config.section import Section
from clues.config.sections import keys_of
from tests.lab.docs_config import COMMITTED, render_installed, render_reference
from tests.unit.config_example import PLUGINS


def test_the_committed_reference_is_the_generated_one() -> None:
    assert COMMITTED.read_text(encoding="utf-8") == render_installed(), "run ./dev docs"


def _all_models(model: type[Section]) -> list[type[BaseModel]]:
    return [model, *(one for below in model.__subclasses__() for one in _all_models(below))]


def test_every_key_tells_its_meaning_and_stands_in_the_reference() -> None:
    text = render_reference()
    for model in _all_models(Section):
        for name, field in keys_of(model).items():
            assert field.description, f"{model.__name__}.{name}"
            assert f"| `{name}` |" in text
            assert field.description.replace("|", "\\|") in text
    assert File in _all_models(Section)


def test_the_keys_of_plugins_can_be_added() -> None:
    text = render_reference(PLUGINS)
    assert "## `sites.NAME, connector: openstack`" in text
    assert "| `cloud` | text | required | An entry of clouds.yaml. |" in text
