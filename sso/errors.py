"""How sso refuses. `kind` is for audit and log: people are told less than those who run the hub."""

from kernel.errors import DomainError, Forbidden, NotFound, Unavailable


class NotConfigured(NotFound):
    """The organization has no identity provider, or there is no such organization."""

    code = "sso.not_configured"
    message = "Single sign-on is not set up here. Log in with your password."


class StateRefused(DomainError):
    """The login is unknown, was used, is over, or belongs to another browser or door."""

    code = "sso.state_refused"
    status = 400
    message = "This login was not begun here, was used before, or took too long. Begin again."
    kind = "unknown_state"


class LoginRefused(DomainError):
    """The provider, or what it sent, does not prove who this is."""

    code = "sso.login_refused"
    status = 401
    message = "The identity provider did not confirm this login. Begin again."

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind


class NotAdmitted(Forbidden):
    """The provider knows the person, and the organization does not let them in."""

    code = "sso.not_admitted"
    message = "You have no access here. Ask an administrator."

    def __init__(self, detail: str, *, kind: str) -> None:
        super().__init__(detail)
        self.kind = kind


class ProviderUnavailable(Unavailable):
    """The provider is away, or answers what no provider should."""

    code = "sso.provider_unavailable"
    message = (
        "The identity provider cannot be used right now. Try again shortly, or log in with your"
        " password."
    )
    kind = "provider_unavailable"

    def __init__(self, *, url: str = "", reason: str = "") -> None:
        super().__init__()
        self.url = url
        self.reason = reason


class ProviderBusy(Unavailable):
    """As many requests as may be already wait for identity providers; nothing was used up."""

    code = "sso.provider_busy"
    message = (
        "Too many logins are waiting for the identity provider. Try again in a few seconds, or log"
        " in with your password."
    )
