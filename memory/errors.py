"""How memory refuses."""

from kernel.errors import Conflict, NotFound


class MemoryNotFound(NotFound):
    """No agent of the organization remembers it."""

    code = "memory.not_found"
    message = "No such memory. GET /api/v1/agents/{id}/memories lists those of an agent."


class MemoryTaken(Conflict):
    """The agent remembers the same text already."""

    code = "memory.taken"
    message = "The agent remembers this already. Change that memory, or delete it first."
