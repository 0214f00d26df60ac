"""How approvals refuses."""

from kernel.errors import Conflict, Forbidden, NotFound


class ApprovalNotFound(NotFound):
    """No such approval, or another organization's."""

    code = "approval.not_found"
    message = "No such approval. Check the id and your organization."


class AlreadyDecided(Conflict):
    """It was approved, rejected or cancelled."""

    code = "approval.already_decided"
    message = "This approval was decided already. Reload it to see how."


class ApprovalExpired(Conflict):
    """Nobody decided in time; that never approves."""

    code = "approval.expired"
    message = "This approval has expired, so it cannot be decided any more. Ask for a new one."


class AlreadyVoted(Conflict):
    """One person has one vote."""

    code = "approval.already_voted"
    message = "You voted on this approval already. Somebody else has to decide with you."


class OwnRequest(Forbidden):
    """Nobody decides what they asked for, unless its rule says that they may."""

    code = "approval.own_request"
    message = (
        "You asked for this yourself, or wrote what the agent was told. Somebody else has to"
        " decide, unless the rule of such requests has `allow_self_approval`."
    )


class NotAnApprover(Forbidden):
    """The caller may decide approvals, but the rule of this one names others."""

    code = "approval.not_an_approver"
    message = "The rule of this approval names other people. Ask one of `deciders` to decide."


class RuleNotFound(NotFound):
    """No such rule, or another organization's."""

    code = "approval_rule.not_found"
    message = "No such approval rule. Check the id and your organization."


class RuleNameTaken(Conflict):
    """Names of rules are unique in an organization, in any case of letters."""

    code = "approval_rule.name_taken"
    message = "An approval rule of this name exists. Choose another name."


class RuleInUse(Conflict):
    """Something names the rule: without it, it would ask for less."""

    code = "approval_rule.in_use"
    message = "Something names this approval rule. Give it another rule first."
