"""How accounts refuses."""

from kernel.errors import DomainError


class CredentialsRefused(DomainError):
    """Wrong password, unknown, disabled account: one answer, so that none is revealed."""

    code = "auth.credentials_refused"
    status = 401
    message = "The e-mail or the password is wrong."


class TokenRefused(DomainError):
    """The token is malformed, expired, of the wrong type, or its session has ended."""

    code = "auth.token_refused"
    status = 401
    message = "The token is not valid any more. Log in again."


class AccountDisabled(DomainError):
    """Said only to somebody who gave the right password."""

    code = "auth.account_disabled"
    status = 403
    message = "This account is disabled. Ask an administrator to enable it."


class RefreshReused(TokenRefused):
    """A refresh token came twice: its session is revoked (RFC 9700)."""

    code = "auth.refresh_reused"
    message = "This refresh token was used before, so its session was ended. Log in again."


class EmailTaken(DomainError):
    """E-mail addresses are unique on a hub, in any case of letters."""

    code = "user.email_taken"
    status = 409
    message = "Somebody has this e-mail address. Choose another."
