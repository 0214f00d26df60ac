"""How tools refuses."""

from kernel.errors import Conflict, DomainError, NotFound, Unavailable


class SourceNotFound(NotFound):
    """No such source, or another organization's."""

    code = "tool_source.not_found"
    message = "No such tool source. GET /api/v1/tool-sources lists them."


class ToolNotFound(NotFound):
    """No such tool, or another organization's."""

    code = "tool.not_found"
    message = "No such tool. GET /api/v1/tools lists them."


class SourceNameTaken(Conflict):
    """Names of sources are unique in an organization."""

    code = "tool_source.name_taken"
    message = "A tool source of this name exists. Choose another name."


class SourceDisabled(Conflict):
    """A source that is switched off is not asked."""

    code = "tool_source.disabled"
    message = "The tool source is disabled. Enable it first."


class SourceFailed(Unavailable):
    """What a source was asked brought no usable answer; `is_fault` says whether it is its fault."""

    code = "tool_source.failed"
    message = "The tool source gave no usable answer. Check its address and try again."
    is_fault: bool = True


class SourceRefuses(SourceFailed):
    """The source answered and said no: a wrong credential, an unknown path, an odd protocol."""

    code = "tool_source.refuses"
    message = "The tool source refuses the hub. Check its address and its credentials."
    is_fault = False


class ToolCallFailed(DomainError):
    """A tool did not do what it was asked; the sentence goes to the model."""

    code = "tool.call_failed"
    status = 502
    message = "The tool call failed. Try again later, or go on without it."
