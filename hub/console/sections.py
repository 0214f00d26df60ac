"""How the fields of a settings page are grouped, so that nobody reads thirty in a row."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from django.conf import settings

from preferences.choices import Setting


@dataclass(frozen=True, slots=True)
class Group:
    """A heading with a sentence; its settings are those whose names begin with one of `starts`."""

    title: str
    help: str
    starts: tuple[str, ...]

    @property
    def slug(self) -> str:
        """Its anchor on the page."""
        return self.title.lower().replace(" ", "-")


@dataclass(frozen=True, slots=True)
class Section:
    """A group with its fields; without a title what belongs to none."""

    title: str
    help: str
    slug: str
    fields: Sequence[Any]


GROUPS: Final[dict[str, tuple[Group, ...]]] = {
    "security": (
        Group(
            "Passwords",
            "What a new password must have. Who has an older one keeps it until it is too old.",
            ("password_",),
        ),
        Group(
            "Second factor",
            "Codes of an authenticator. Whoever lacks one when the time of grace is over can do"
            " nothing but set one up.",
            ("mfa_",),
        ),
        Group(
            "Step-up",
            "A fresh code before somebody changes people, roles, settings, this policy, IP rules or"
            " approval rules, makes an API key, or decides an approval. Set up your own second"
            " factor first, and log in with it.",
            ("step_up_",),
        ),
        Group(
            "Sessions",
            "A shorter duration counts for open sessions at once.",
            ("session_",),
        ),
        Group(
            "Lockout and limits",
            "What slows down those who guess, and programs that ask too often.",
            ("lockout_", "rate_limit_"),
        ),
        Group("Registration", "", ("registration_",)),
        Group(
            "Single sign-on",
            "Log in with an OpenID Connect provider. Give it the redirect address"
            " HUB/sso/callback.",
            ("oidc_",),
        ),
    ),
    "llm": (
        Group("Defaults", "What agents take that name nothing else.", ("default_",)),
        Group(
            "Your own keys",
            "They go before the hub's. Stored sealed, never shown again.",
            ("openai_", "anthropic_", "google_"),
        ),
    ),
    "email": (Group("Mail server", "Empty fields take what the hub itself has.", ("smtp_",)),),
}
UNITS: Final = ("days", "hours", "minutes", "seconds")


def divide(wanted: Sequence[Setting], fields: Mapping[str, list[Any]]) -> list[Section]:
    """The sections of one category that have fields; `fields` has those of each setting's name."""
    left = [setting.name for setting in wanted]
    found = []
    for group in GROUPS.get(wanted[0].category, ()):
        names = [name for name in left if name.startswith(group.starts)]
        left = [name for name in left if name not in names]
        if names:
            rows = [field for name in names for field in fields[name]]
            words = group.help.replace("HUB/", f"{settings.HUB_PUBLIC_URL}/")
            found.append(Section(group.title, words, group.slug, rows))
    if left:
        rows = [field for name in left for field in fields[name]]
        found.insert(0, Section("In general" if found else "", "", "", rows))
    return found
