"""What can be set is written down."""

from hub.env import KNOWN
from preferences.choices import catalogue
from tests.conftest import repository


def configuration() -> str:
    """The page for operators."""
    return (repository() / "docs/configuration.md").read_text()


def test_every_variable_is_documented() -> None:
    assert not [name for name in sorted(KNOWN) if f"`{name}`" not in configuration()]


def test_every_setting_is_documented() -> None:
    assert not [key for key in catalogue() if f"`{key}`" not in configuration()]
