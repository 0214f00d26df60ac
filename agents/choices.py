"""Vocabularies of agents."""

from typing import Final

from django.db.models import TextChoices

from kernel.permissions import Permission


class AgentKind(TextChoices):
    """Where an agent's loop runs."""

    HOSTED = "hosted", "Hosted"
    REMOTE = "remote", "Remote"


class AgentStatus(TextChoices):
    """What an agent is doing (contract 003 B2)."""

    IDLE = "idle", "Idle"
    BUSY = "busy", "Busy"
    ERROR = "error", "Error"
    OFFLINE = "offline", "Offline"
    PAUSED = "paused", "Paused"
    MAINTENANCE = "maintenance", "Maintenance"


class AutonomyLevel(TextChoices):
    """How much an agent may do without asking."""

    AUTONOMOUS = "autonomous", "Autonomous"
    CAUTIOUS = "cautious", "Cautious"
    SUPERVISED = "supervised", "Supervised"
    READ_ONLY = "read_only", "Read only"


class ExecutionStatus(TextChoices):
    """How one run of an agent stands; the last four are final (contract 004 C2)."""

    RUNNING = "running", "Running"
    SUCCESS = "success", "Success"
    ERROR = "error", "Error"
    TIMEOUT = "timeout", "Timeout"
    CANCELLED = "cancelled", "Cancelled"


class ExecutionSource(TextChoices):
    """Which door a run came through."""

    REST = "rest", "REST"
    SSE = "sse", "SSE"
    QUEUE = "queue", "Queue"
    AGENT = "agent", "Agent"


class StepKind(TextChoices):
    """What one step of an execution is."""

    MODEL_TURN = "model_turn", "Model turn"
    TOOL_CALL = "tool_call", "Tool call"


class StepStatus(TextChoices):
    """How one step ended; `started` means that its outcome is not known (yet)."""

    STARTED = "started", "Started"
    DONE = "done", "Done"
    FAILED = "failed", "Failed"


PERMISSIONS: Final = (
    Permission("agent.read", "Agents", "See agents, their versions and tools.", reads=True),
    Permission("agent.edit", "Agents", "Make, change and delete agents."),
    Permission("agent.run", "Agents", "Run an agent."),
    Permission("execution.read", "Agents", "See what agents did.", reads=True),
)
