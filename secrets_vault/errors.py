"""How the vault refuses."""

from kernel.errors import Conflict, NotFound


class SecretNotFound(NotFound):
    """No such secret, or another organization's."""

    code = "secret.not_found"
    message = "No such secret. Check its name, or store it in the vault first."


class SecretNameTaken(Conflict):
    """Names of secrets are unique in an organization."""

    code = "secret.name_taken"
    message = "A secret of this name exists. Rotate it, or choose another name."


class SecretExpired(Conflict):
    """A secret is used no longer than it was meant to live."""

    code = "secret.expired"
    message = "The secret has expired. Rotate it with a new value and a later end."


class SecretUnreadable(Conflict):
    """The value was sealed under another `HUB_SECRET_KEY`."""

    code = "secret.unreadable"
    message = "The secret cannot be read under the hub's present key. Rotate it."
