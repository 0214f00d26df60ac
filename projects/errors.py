"""How projects refuses."""

from kernel.errors import Conflict, NotFound


class ProjectNotFound(NotFound):
    """No such project, or another organization's."""

    code = "project.not_found"
    message = "No such project. Check the id and your organization."


class EnvironmentNotFound(NotFound):
    """No such environment, or another organization's."""

    code = "environment.not_found"
    message = "No such environment. Check the id and your organization."


class ProjectNameTaken(Conflict):
    """Names of projects are unique in an organization, in any case of letters."""

    code = "project.name_taken"
    message = "A project of this name exists. Choose another name."


class ProjectArchived(Conflict):
    """Nothing is added to a project that is not worked on any more."""

    code = "project.archived"
    message = "The project is archived. Make it active first."


class EnvironmentNameTaken(Conflict):
    """Names of environments are unique in a project, in any case of letters."""

    code = "environment.name_taken"
    message = "The project has an environment of this name. Choose another name."
