"""How preferences refuses."""

from kernel.errors import Conflict, NotFound, Unavailable


class UnknownSetting(NotFound):
    """No app has a setting of this name."""

    code = "setting.not_found"
    message = "There is no such setting. GET /api/v1/settings/ lists them."


class SecretUnreadable(Unavailable):
    """A stored secret was sealed under another key of the hub."""

    code = "setting.unreadable"
    message = "A stored secret setting cannot be read with this hub's key. Set it again."


class StepUpLockOut(Conflict):
    """Step-up, switched on by somebody whom it would keep from switching it off again.

    A guard of accounts raises it (`operations.GUARDS`); it is here because the routes of settings
    name it too.
    """

    code = "security.step_up_lock_out"
    message = (
        "Step-up would lock you out of these settings."
        " Set up a second factor and log in again with it, then switch step-up on."
    )
