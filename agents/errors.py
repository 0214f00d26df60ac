"""How agents refuse."""

from kernel.errors import Conflict, DomainError, NotFound


class AgentNotFound(NotFound):
    """No such agent in the caller's organization."""

    code = "agent.not_found"
    message = "No such agent. Check the id and your organization."


class ExecutionNotFound(NotFound):
    """No such execution in the caller's organization."""

    code = "execution.not_found"
    message = "No such execution. Check the id and your organization."


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
