"""How limits refuses."""

from kernel.errors import Conflict, DomainError, NotFound


class LimitNotFound(NotFound):
    """No such rule in the organization."""

    code = "limit.not_found"
    message = "No such limit. GET /api/v1/limits lists them."


class LimitExists(Conflict):
    """The organization has a rule of the same scope and name."""

    code = "limit.exists"
    message = "There is a limit of this scope and name. Change that one."


class RateReached(DomainError):
    """What a rule allows in a minute is used up.

    `data`: rule_id, retry_after_seconds (a float).
    """

    code = "limit.rate_reached"
    status = 429
    message = "The limit of this minute is used up. Try again later, or raise it."
