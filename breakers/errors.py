"""How breakers refuses."""

from kernel.errors import NotFound, Unavailable


class BreakerNotFound(NotFound):
    """Nobody configured it, and nothing was called by this name."""

    code = "breaker.not_found"
    message = "No such circuit breaker. GET /api/v1/circuit-breakers lists them."


class BreakerOpen(Unavailable):
    """What would be called failed too often, or somebody holds the breaker open."""

    code = "breaker.open"
    message = "The circuit breaker is open. Try again later, or look at the service behind it."
