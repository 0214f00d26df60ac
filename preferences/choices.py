"""The settings catalogue: each app adds its settings, so that one list has and checks them all."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, Literal

from kernel.permissions import Permission

EDIT: Final = "settings.edit"
PERMISSIONS: Final = (Permission(EDIT, "Settings", "See and change the settings.", steers=True),)

# Those of contract 003 B9, in its order; they are listed even while nothing is in them.
CATEGORIES: Final = ("general", "llm", "email", "security", "notifications", "storage")
Kind = Literal["string", "integer", "number", "boolean", "list"]
KINDS: Final = ("string", "integer", "number", "boolean", "list")
LONGEST: Final = 2000
MOST_ITEMS: Final = 200
FLAGS: Final = {"true": True, "false": False}


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One setting: `key` is `<category>.<name>`, permanent, because organizations store it.

    `label` names it on a form; empty: its name does. `default` may be a function without arguments
    (a default that the environment gives). `check` answers what is wrong with a well-formed value,
    as a sentence, or an empty text. Whoever changes it over the API holds `permission`. A secret is
    forgotten when a setting that it is `bound_to` (the address that it is sent to, and how) changes
    without it: else that would read it.
    """

    key: str
    kind: Kind
    default: Any
    description: str
    label: str = ""
    secret: bool = False
    permission: str = EDIT
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()
    bound_to: tuple[str, ...] = ()
    check: Callable[[Any], str] | None = None

    @property
    def category(self) -> str:
        """The part before the dot."""
        return self.key.partition(".")[0]

    @property
    def name(self) -> str:
        """The part after the dot."""
        return self.key.partition(".")[2]

    def default_value(self) -> Any:
        """The default, as of now."""
        return self.default() if callable(self.default) else self.default

    def parse(self, value: Any) -> Any:
        """`value` in the setting's own type; raises ValueError with a sentence for people.

        Forms and the published API send texts, so "12" and "true" are understood too.
        """
        parsed = _PARSERS[self.kind](value)
        if self.choices and parsed not in self.choices:
            raise ValueError(f"Choose one of: {', '.join(filter(None, self.choices))}.")
        if self.kind in {"integer", "number"}:
            self._bound(parsed)
        if self.check and (wrong := self.check(parsed)):
            raise ValueError(wrong)
        return parsed

    def _bound(self, value: float) -> None:
        low, high = self.minimum, self.maximum
        if (low is not None and value < low) or (high is not None and value > high):
            raise ValueError(f"Send a number from {low} to {high}.")


def _string(value: Any) -> str:
    if not isinstance(value, str) or len(value) > LONGEST:
        raise ValueError(f"Send a text of at most {LONGEST} characters.")
    if not value.isprintable():
        raise ValueError("Send a text in one line, without control characters.")
    return value.strip()


def _integer(value: Any) -> int:
    if isinstance(value, str) and value.strip().lstrip("-").isdecimal() and len(value) < 20:
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError("Send a whole number.")  # noqa: TRY004 - one kind for all callers
    return value


def _number(value: Any) -> float:
    try:
        found = float(value)
    except (TypeError, ValueError, OverflowError):
        raise ValueError("Send a number.") from None
    # Neither a truth value nor what no bound could hold.
    if isinstance(value, bool) or found - found != 0:
        raise ValueError("Send a number.")
    return found


def _boolean(value: Any) -> bool:
    if isinstance(value, str):
        value = FLAGS.get(value.strip().lower())
    if not isinstance(value, bool):
        raise ValueError("Send true or false.")  # noqa: TRY004 - the same
    return value


def _list(value: Any) -> list[str]:
    if not isinstance(value, list) or len(value) > MOST_ITEMS:
        raise ValueError(f"Send a list of at most {MOST_ITEMS} texts.")
    return [_string(item) for item in value]


_PARSERS: Final[Mapping[Kind, Callable[[Any], Any]]] = {
    "string": _string,
    "integer": _integer,
    "number": _number,
    "boolean": _boolean,
    "list": _list,
}
_catalogue: Final[dict[str, Setting]] = {}


def register(*settings: Setting) -> None:
    """Add settings; apps call this in `AppConfig.ready`. Raises ValueError for a twin."""
    for setting in settings:
        if _catalogue.setdefault(setting.key, setting) != setting:
            raise ValueError(f"The setting {setting.key} is already registered differently.")


def catalogue() -> Mapping[str, Setting]:
    """Every setting by its key, as registered so far."""
    return MappingProxyType(_catalogue)
