"""How preferences refuses."""

from kernel.errors import NotFound, Unavailable


class UnknownSetting(NotFound):
    """No app has a setting of this name."""

    code = "setting.not_found"
    message = "There is no such setting. GET /api/v1/settings/ lists them."


class SecretUnreadable(Unavailable):
    """A stored secret was sealed under another key of the hub."""

    code = "setting.unreadable"
    message = "A stored secret setting cannot be read with this hub's key. Set it again."
