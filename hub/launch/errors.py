"""How `up` can refuse or fail; each sentence is the one line that the person reads."""

from kernel.errors import DomainError


class CannotStart(DomainError):
    """Something must be put right first; `up` ends with code 2."""

    code = "up.cannot_start"
    status = 503


class GaveUp(DomainError):
    """The hub started, but a part of it failed for good; `up` ends with code 1."""

    code = "up.gave_up"
    status = 500
