"""How agents refuse."""

from uuid import UUID

from kernel.errors import Conflict, DomainError, Forbidden, NotFound


class AgentNotFound(NotFound):
    """No such agent in the caller's organization."""

    code = "agent.not_found"
    message = "No such agent. Check the id and your organization."


class ExecutionNotFound(NotFound):
    """No such execution in the caller's organization."""

    code = "execution.not_found"
    message = "No such execution. Check the id and your organization."


class ExecutionIsRunning(Conflict):
    """Its steps are still being written."""

    code = "execution.is_running"
    message = "The execution is running. Wait for its end, or cancel its task."


class NothingRecorded(Conflict):
    """It came to no answer, or only holds the steps which a fork goes on from."""

    code = "execution.nothing_recorded"
    message = "No answer of a model is on record for this run. Choose one that has."


class OutputNotFound(NotFound):
    """No such step in the caller's organization, or the model was given all of its output."""

    code = "tool_output.not_found"
    message = "No such output. Follow the `whole_result_link` of a step."


class AgentNameTaken(Conflict):
    """Names are unique among an organization's agents."""

    code = "agent.name_taken"
    message = "An agent with this name exists. Choose another name."


class AgentHasRunningTasks(Conflict):
    """An agent is not deleted under its work."""

    code = "agent.has_running_tasks"
    message = "The agent has running tasks. Stop the agent first, then delete it."


class RunWithoutLease(DomainError):
    """Somebody else runs this task now: what this worker writes would be a second truth."""

    code = "execution.lease_lost"
    status = 409
    message = "The lease on this run was lost."


class AgentDisabled(Forbidden):
    """An override switches the agent off, for every door (contract 004 C4)."""

    code = "agent.disabled"
    message = "The agent is disabled by an override. Have an administrator enable it."

    def __init__(self, detail: str = "", *, override_id: UUID | None = None) -> None:
        super().__init__(detail)
        # By which what waits for the agent is found.
        self.override_id = override_id


class AgentIsOverridden(Conflict):
    """An override goes by the agent's name: with another one it would no longer count."""

    code = "agent.overridden"
    message = "An override goes by this name. Delete the override, then rename the agent."


class AgentVersionNotFound(NotFound):
    """The agent has no version of that number."""

    code = "agent_version.not_found"
    message = "The agent has no such version. GET /api/v1/agents/{id}/versions lists them."


class AgentVersionIsCurrent(Conflict):
    """Rolling back to what runs already."""

    code = "agent_version.is_current"
    message = "The agent already has this configuration. Choose another version."


class OverrideNotFound(NotFound):
    """No such override in the caller's organization, or it was deleted."""

    code = "agent_override.not_found"
    message = "No such override. Check the id and your organization."


class OverrideNameTaken(Conflict):
    """There is one override for each name."""

    code = "agent_override.name_taken"
    message = "There is an override for this agent. Change that one, or delete it first."


class OverrideChanged(Conflict):
    """Somebody wrote it since the caller read it."""

    code = "agent_override.changed"
    message = "The override was changed meanwhile. Read it again, then repeat the change."


class OverrideRevisionNotFound(NotFound):
    """The override never had that number."""

    code = "agent_override.revision_not_found"
    message = "The override has no such revision. Its list of revisions has the numbers."


class OverrideRevisionIsCurrent(Conflict):
    """Rolling back to what counts already."""

    code = "agent_override.revision_is_current"
    message = "The override already says this. Choose another revision."
