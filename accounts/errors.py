"""How accounts refuses."""

from kernel.errors import Conflict, DomainError, Forbidden


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


class CsrfRefused(DomainError):
    """A write with the token in a cookie that no page of this hub made (contract 004 C0)."""

    code = "auth.csrf_refused"
    status = 403
    message = "Send the CSRF token in `X-CSRFToken`, or the access token in a header."


class LastHolder(Conflict):
    """Nobody active would be left who may change roles, or who may give them (contract 002 A4)."""

    code = "role.last_holder"
    message = (
        "Nobody would be left who may edit roles and give them."
        " Give somebody else that right first."
    )


class Escalation(Forbidden):
    """Nobody gives what they do not hold (contract 002 A4)."""

    code = "role.escalation"
    message = "You cannot give permissions that you do not hold. Ask somebody who does."


class SystemRole(Conflict):
    """The built-in roles are edited, never renamed or deleted (contract decisions 9)."""

    code = "role.is_system"
    message = "This role is built in: change its permissions, or make another role."


class RoleInUse(Conflict):
    """Something asks for holders of this role: without it, everybody would do."""

    code = "role.in_use"
    message = "An approval rule names this role. Give the rule another role first."


class RoleNameTaken(Conflict):
    """Names of roles are unique in an organization, in any case of letters."""

    code = "role.name_taken"
    message = "There is a role of this name. Choose another."


class AlreadyGranted(Conflict):
    """The person holds the role for just that."""

    code = "user_role.already_granted"
    message = "This person holds this role in this scope already."


class AccountLocked(DomainError):
    """Said only to somebody who gave the right password; `retry_after_seconds` is in the data."""

    code = "auth.account_locked"
    status = 423
    message = "Too many wrong attempts: the account is locked. Try again later."


class PasswordRefused(DomainError):
    """Not the present password, or a new one that the policy refuses (contract 003 B1: 400)."""

    code = "auth.password_refused"
    status = 400
    message = "The password was not changed. See `errors` for what is wrong."


class PasswordExpired(Forbidden):
    """The session is only good for changing the password."""

    code = "auth.password_expired"
    message = "Your password has expired. Change it: POST /api/v1/auth/change-password."
    temporary = (
        "An administrator gave you this password. Choose your own:"
        " POST /api/v1/auth/change-password."
    )


class MfaEnrollmentRequired(Forbidden):
    """The session is only good for enrolling a second factor."""

    code = "auth.mfa_enrollment_required"
    message = "Your organization asks for a second factor. Set it up with /api/v1/auth/mfa/setup."


class SecondFactorRefused(DomainError):
    """The code of a login is wrong, was used before, or is out of date."""

    code = "auth.mfa_code_refused"
    status = 401
    message = "The code is wrong or was used before. Send the present code."


class CodeRefused(DomainError):
    """The same, of somebody who is logged in."""

    code = "auth.mfa_code_refused"
    status = 400
    message = "The code is wrong or was used before. Send the present code."


class MfaAlreadyEnabled(Conflict):
    """There is a second factor already."""

    code = "auth.mfa_already_enabled"
    message = "A second factor is set up already. Disable it first."


class MfaNotEnabled(Conflict):
    """There is no second factor, or it was never confirmed."""

    code = "auth.mfa_not_enabled"
    message = "No second factor is set up. Begin with POST /api/v1/auth/mfa/setup."


class StepUpRequired(DomainError):
    """The action needs a second factor shown a short while ago (RFC 9470)."""

    code = "auth.step_up_required"
    status = 401
    message = (
        "Confirm with a code of your second factor (POST /api/v1/auth/step-up), then try again."
    )

    def __init__(self, *, max_age_seconds: int) -> None:
        super().__init__(data={"max_age_seconds": max_age_seconds})
        self.challenge = f"step-up max_age={max_age_seconds} acr_values=mfa"


class StepUpImpossible(DomainError):
    """The action needs a second factor, and the person has none (contract 002 A2)."""

    code = "auth.mfa_enrollment_required"
    status = 412
    message = "This needs a second factor. Set it up with POST /api/v1/auth/mfa/setup."


class FactorTooYoung(Forbidden):
    """The session is older than the second factor: whoever holds it may have set it up."""

    code = "auth.factor_too_young"
    message = "The second factor was set up in an open session. Log in again with it first."


class OwnAccount(Forbidden):
    """What administrators do for others; for themselves they prove who they are first."""

    code = "user.own_account"
    message = "This is your own account: use POST /api/v1/auth/change-password, or ask another."


class NoPassword(Conflict):
    """An identity provider decides whether they come in; a password would be a way past it."""

    code = "user.no_password"
    message = "This person logs in with the identity provider alone. Reset their password there."


class RegistrationClosed(Forbidden):
    """The organization does not let strangers register, or there is no such organization."""

    code = "auth.registration_closed"
    message = "Registration is not open. Ask an administrator for an account."


class TooManyKeys(Conflict):
    """A person's live API keys are limited."""

    code = "api_key.too_many"
    message = "You have as many API keys as one person may have. Revoke one first."


class AddressRefused(Forbidden):
    """The organization's IP rules keep this address out."""

    code = "auth.address_refused"
    message = "Your organization does not allow access from this address."


class RulesLockOut(Conflict):
    """The rules would keep out whoever sends them."""

    code = "ip_rules.lock_out"
    message = "These rules would lock you out. Add a rule that allows your present address."
