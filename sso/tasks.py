"""Jobs of sso."""

from kernel import clock
from kernel.jobs import job
from sso.operations import logins


@job("sso.forget_logins", queue="housekeeping", every=600)
def forget_logins(**_newer_arguments: object) -> None:
    """Drop logins that nobody finished in time."""
    logins.forget_logins(now=clock.now())
