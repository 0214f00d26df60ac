"""The jobs of approvals."""

from approvals.operations import mails, sweeps
from kernel import clock
from kernel.jobs import job


@job("approvals.expire_approvals", queue="housekeeping", every=5)
def expire_approvals(**_newer_arguments: object) -> None:
    """End what nobody decided in time."""
    sweeps.expire_due(now=clock.synchronise())


@job("approvals.mail_deciders", queue="default", every=30)
def mail_deciders(**_newer_arguments: object) -> None:
    """Tell those who may decide what waits for them."""
    mails.write_to_deciders(now=clock.now())
