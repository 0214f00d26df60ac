"""How direct runs are refused before they begin."""

from kernel.errors import Conflict, DomainError, NotFound, Unavailable


class ConversationNotFound(NotFound):
    """The caller has no such conversation with this agent."""

    code = "conversation.not_found"
    message = "No such conversation with this agent. Leave `conversation_id` out to begin one."


class AgentNotStarted(Conflict):
    """The agent takes no work."""

    code = "run.agent_not_started"
    message = "The agent is not started. Start it with POST /api/v1/agents/{id}/start."


class TooManyRuns(DomainError):
    """The organization waits for as many runs as it may."""

    code = "run.too_many"
    status = 429
    message = "Too many runs of your organization are under way. Try again shortly."


class ProviderNotConfigured(Unavailable):
    """No provider that the agent may use can be called."""

    code = "run.provider_not_configured"
    message = "The agent's provider has no API key. Set one in the settings."
