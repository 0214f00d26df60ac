"""How the hub refuses: one base class that carries what every door needs to say."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar


class DomainError(Exception):
    """A refusal that a person can act on.

    `detail` is a whole sentence that is safe to show; `code` is stable API
    (`<noun>.<what_happened>`); `fields` lists `{field, message, type}` for 422.
    """

    code: ClassVar[str] = "hub.refused"
    status: ClassVar[int] = 400
    message: ClassVar[str] = "The request was refused."

    def __init__(
        self,
        detail: str = "",
        *,
        fields: Sequence[Mapping[str, str]] = (),
        data: Mapping[str, Any] | None = None,
    ) -> None:
        self.detail = detail or self.message
        self.fields = tuple(fields)
        self.data = dict(data or {})
        super().__init__(self.detail)


class NotFound(DomainError):
    """No such object, or one of another organization: the caller cannot tell which."""

    code = "resource.not_found"
    status = 404
    message = "No such object. Check the id and your organization."


class Forbidden(DomainError):
    """The caller is known and sees the object, but may not do this."""

    code = "permission.denied"
    status = 403
    message = "You are not allowed to do this. Ask an administrator for the permission."


class Invalid(DomainError):
    """A value that no state would accept."""

    code = "validation.invalid"
    status = 422
    message = "The request has invalid values. See `errors` for each field."

    @classmethod
    def field(cls, name: str, message: str, *, type: str = "invalid") -> "Invalid":  # noqa: A002 - the wire's word
        """An Invalid about one field."""
        return cls(fields=[{"field": name, "message": message, "type": type}])


class Conflict(DomainError):
    """The object's present state forbids the change."""

    code = "state.conflict"
    status = 409
    message = "The object's state does not allow this. Reload it and try again."


class Unavailable(DomainError):
    """Something the hub needs does not answer; the caller may try again."""

    code = "service.unavailable"
    status = 503
    message = "The hub cannot do this right now. Try again shortly."
