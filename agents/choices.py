"""Vocabularies of agents."""

from collections.abc import Mapping
from typing import Final

from django.db.models import TextChoices

from events.choices import EventType
from kernel.permissions import Permission


class AgentKind(TextChoices):
    """Where an agent's loop runs."""

    HOSTED = "hosted", "Hosted"
    REMOTE = "remote", "Remote"


class AgentType(TextChoices):
    """Who made an agent: a template or the hub itself, or people (contract decisions 34)."""

    DESIGN = "design", "Design"
    DYNAMIC = "dynamic", "Dynamic"


# What a name of the tool catalogue begins with that is an agent; no source of tools is called so.
AGENT_TOOL: Final = "agent:"
# How many agents may stand in a row, each called by the one before.
MOST_DEPTH: Final = 5
# How often the runs of one task may call agents in all, from where it last began anew.
MOST_CALLS: Final = 100


class ResponseFormat(TextChoices):
    """What an agent's answer is."""

    TEXT = "text", "Text"
    JSON = "json", "JSON"


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
    REPLAY = "replay", "Replay"


class ReplayTools(TextChoices):
    """Where a run that is played again has the results of its tools from."""

    RECORDED = "recorded", "Recorded"
    LIVE = "live", "Live"


# The error kind of an execution that only holds the steps which a fork goes on from.
FORKED: Final = "forked"


class PublishedSource(TextChoices):
    """The doors in seed 004's words, in the order of their indexes."""

    REST = "rest", "REST"
    SSE = "sse", "SSE"
    KAFKA = "kafka", "Kafka"
    AGENT = "agent", "Agent"


class PublishedStatus(TextChoices):
    """How runs end in seed 004's words, in the order of their indexes."""

    SUCCESS = "success", "Success"
    ERROR = "error", "Error"
    TIMEOUT = "timeout", "Timeout"


SOURCES: Final[Mapping[str, PublishedSource]] = {
    ExecutionSource.REST: PublishedSource.REST,
    ExecutionSource.SSE: PublishedSource.SSE,
    ExecutionSource.QUEUE: PublishedSource.KAFKA,
    ExecutionSource.AGENT: PublishedSource.AGENT,
}
# Those of the runs that have ended; 004 knows no others (contract decisions 34).
STATUSES: Final[Mapping[str, PublishedStatus]] = {
    ExecutionStatus.SUCCESS: PublishedStatus.SUCCESS,
    ExecutionStatus.ERROR: PublishedStatus.ERROR,
    ExecutionStatus.CANCELLED: PublishedStatus.ERROR,
    ExecutionStatus.TIMEOUT: PublishedStatus.TIMEOUT,
}


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
CREATED: Final = "agentoverride-created"
UPDATED: Final = "agentoverride-updated"
DELETED: Final = "agentoverride-deleted"
# Seed 004 tells of each write twice: of the act, and of the row.
ROW_EVENTS: Final = {name: f"dbevent-sys_{name}" for name in (CREATED, UPDATED, DELETED)}
EVENTS: Final = tuple(EventType(name, "agent.read") for name in (*ROW_EVENTS, *ROW_EVENTS.values()))
