"""Questions about approvals: which rule, whose vote, and what was asked for."""

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, TypeAlias
from uuid import UUID

from django.db.models import Case, CharField, Exists, F, OuterRef, Q, QuerySet, Value, When

from accounts.models import RoleAssignment, User
from accounts.models.rights import Grant
from approvals.choices import DECIDE, WILDCARD, ApprovalStatus, Decision
from approvals.errors import ApprovalNotFound, RuleNotFound
from approvals.models import Approval, ApprovalRule, Terms, Vote

_Held: TypeAlias = tuple[UUID, UUID, Grant]
"""A person, a role of theirs, and what it grants."""

ALWAYS: Final = ~Q(pk__in=[])
MISSING: Final = object()
MOST_SHOWN: Final = 50


@dataclass(frozen=True, slots=True)
class Inquiry:
    """An approval and how far it is.

    Those in `decider_ids` may still vote, as rights are now; `deciders` are the first of them by
    e-mail. `missing` is how many approvals it lacks, `can_be_met` whether there are people enough.
    """

    approval: Approval
    status: ApprovalStatus
    votes: tuple[Vote, ...]
    decider_ids: frozenset[UUID]
    deciders: tuple[User, ...]
    missing: int

    @property
    def can_be_met(self) -> bool | None:
        """None once it is not pending."""
        if self.status != ApprovalStatus.PENDING:
            return None
        return len(self.decider_ids) >= self.missing


def binding_of(action: str, arguments: Mapping[str, Any]) -> str:
    """SHA-256 (hex) of what is asked for: the same for whatever JSON takes to be the same.

    Keys are sorted and whole numbers have no fraction: arguments come back from PostgreSQL so.
    """
    whole = json.dumps(
        [action, _canonical(arguments)], sort_keys=True, separators=(",", ":"), default=str
    )
    return hashlib.sha256(whole.encode()).hexdigest()


def find_for_call(
    *, organization_id: UUID, task_id: UUID | None, call_id: str, binding: str
) -> Approval | None:
    """The approval of this tool call of this task; None for a call of no task."""
    if task_id is None or not call_id:
        return None
    return Approval.objects.filter(
        organization_id=organization_id, task_id=task_id, call_id=call_id, binding=binding
    ).first()


def has_pending(*, organization_id: UUID, task_id: UUID) -> bool:
    """Whether a tool call of the task waits for people."""
    waiting = Approval.objects.filter(
        organization_id=organization_id, task_id=task_id, status=ApprovalStatus.PENDING
    )
    return waiting.exclude(call_id="").exists()


def list_pending(*, organization_id: UUID, task_id: UUID) -> QuerySet[Approval]:
    """The tool calls of the task that wait for people, oldest first."""
    rows = Approval.objects.filter(
        organization_id=organization_id, task_id=task_id, status=ApprovalStatus.PENDING
    )
    return rows.exclude(call_id="").order_by("created_at", "pk")


def list_approvals(*, organization_id: UUID, now: datetime) -> QuerySet[Approval]:
    """The organization's approvals, newest first, with `standing`: the status as of `now`."""
    due = Q(status=ApprovalStatus.PENDING, expires_at__lte=now)
    standing = Case(
        When(due, then=Value(ApprovalStatus.EXPIRED)),
        default=F("status"),
        output_field=CharField(),
    )
    rows = Approval.objects.filter(organization_id=organization_id).annotate(standing=standing)
    return rows.order_by("-created_at", "-pk")


def get_approval(*, organization_id: UUID, approval_id: UUID) -> Approval:
    """One approval; raises ApprovalNotFound."""
    approval = Approval.objects.filter(organization_id=organization_id, pk=approval_id).first()
    if approval is None:
        raise ApprovalNotFound
    return approval


def for_decider(rows: QuerySet[Any], *, user: User) -> QuerySet[Any]:
    """Those of `rows` (of `list_approvals`) that wait for `user`'s vote; one query more."""
    held = RoleAssignment.objects.filter(user_id=user.pk).values_list(
        "role_id", "role__permissions", "scope"
    )
    may, named = Q(pk__in=[]), Q(rule__approvers__contains=[str(user.pk)])
    named |= Q(rule__approver_role_id=None, rule__approvers=[])
    for role_id, permissions, scope in held:
        place = _place(scope)
        if DECIDE in permissions:
            may |= place
        named |= place & Q(rule__approver_role_id=str(role_id))
    own = Q(requester_user_id=user.pk) | Q(author_ids__contains=[user.pk])
    not_own = ~own | Q(rule__allow_self_approval=True)
    voted = Vote.objects.filter(approval_id=OuterRef("pk"), user_id=user.pk)
    pending = Q(status=ApprovalStatus.PENDING, standing=ApprovalStatus.PENDING)
    return rows.filter(pending & may & named & not_own & ~Exists(voted))


def inquire(*, approval: Approval, now: datetime) -> Inquiry:
    """How far an approval is: three queries while it is pending, one afterwards."""
    votes = tuple(
        Vote.objects.filter(approval_id=approval.pk)
        .select_related("user")
        .order_by("created_at", "pk")
    )
    status = approval.status_at(now=now)
    if status != ApprovalStatus.PENDING:
        return Inquiry(approval, status, votes, frozenset(), (), 0)
    voted = {vote.user_id for vote in votes}
    may = find_deciders(approval=approval)
    ids = frozenset(may - voted)
    people = User.objects.filter(organization_id=approval.organization_id, pk__in=ids)
    first = tuple(people.order_by("email")[:MOST_SHOWN])
    missing = _missing(approval, votes, may)
    return Inquiry(approval, status, votes, ids, first, missing)


def find_deciders(*, approval: Approval, user_id: UUID | None = None) -> set[UUID]:
    """Who may decide about an approval by the rights and roles of this moment, voted or not.

    With `user_id` only that person is looked at. One query.
    """
    return _deciders_of(approval, _list_held(approval.organization_id, [approval.terms], user_id))


def explain_shortages(*, approvals: Sequence[Approval]) -> dict[UUID, str]:
    """Of these, all pending and of one organization, those that the people who may still vote
    cannot approve, each with a sentence that says so; two queries, or none."""
    if not approvals:
        return {}
    held = _list_held(approvals[0].organization_id, [each.terms for each in approvals])
    votes = list(Vote.objects.filter(approval__in=approvals))
    found: dict[UUID, str] = {}
    for approval in approvals:
        cast = [vote for vote in votes if vote.approval_id == approval.pk]
        may = _deciders_of(approval, held)
        left = len(may - {vote.user_id for vote in cast})
        missing = _missing(approval, cast, may)
        if left < missing:
            found[approval.pk] = _shortage(approval, left, missing)
    return found


def count_votes(votes: Iterable[Vote], deciders: Collection[UUID]) -> int:
    """How many approvals count: not those of people who may not decide any more."""
    return sum(vote.decision == Decision.APPROVE and vote.user_id in deciders for vote in votes)


def _missing(approval: Approval, votes: Iterable[Vote], deciders: Collection[UUID]) -> int:
    """How many approvals a pending one lacks. At least one: it is a vote that decides, also where
    somebody may decide again whose vote did not count for a while."""
    return max(1, approval.terms.min_approvals - count_votes(votes, deciders))


def count_voters(*, rule: ApprovalRule) -> int:
    """How many people may vote at most on what the rule is for, as rights and roles are now. One
    that holds the right for one agent counts; so does whoever will ask, though they may not vote
    unless the rule says so. One query."""
    held = _list_held(rule.organization_id, [rule.terms])
    reach = [(*each, {key for key, _ in each[2].scope} <= {"agent_id"}) for each in held]
    return len(_people(rule.terms, reach))


def _list_held(
    organization_id: UUID, terms: Iterable[Terms], user_id: UUID | None = None
) -> list[_Held]:
    """The roles that matter to these terms, with their active holders."""
    roles = [each.approver_role_id for each in terms if each.approver_role_id]
    held = RoleAssignment.objects.filter(
        Q(role__permissions__contains=[DECIDE]) | Q(role_id__in=roles),
        organization_id=organization_id,
        user__is_active=True,
    )
    if user_id is not None:
        held = held.filter(user_id=user_id)
    rows = held.values_list("user_id", "role_id", "role__permissions", "scope")
    return [
        (holder, role, Grant(frozenset(permissions), tuple(scope.items())))
        for holder, role, permissions, scope in rows
    ]


def _deciders_of(approval: Approval, held: Iterable[_Held]) -> set[UUID]:
    covered = [(*each, each[2].covers(approval.scope)) for each in held]
    people = _people(approval.terms, covered)
    return {person for person in people if not approval.is_own(user_id=person)}


def _people(terms: Terms, held: Iterable[tuple[UUID, UUID, Grant, bool]]) -> set[UUID]:
    """Who may vote by what they hold, as far as that counts."""
    may: set[UUID] = set()
    named = set(map(UUID, terms.approvers))
    for holder, role, grant, counts in held:
        if counts and DECIDE in grant.permissions:
            may.add(holder)
        if counts and str(role) == terms.approver_role_id:
            named.add(holder)
    return may & named if terms.approvers or terms.approver_role_id else may


def _shortage(approval: Approval, left: int, missing: int) -> str:
    needs = "One more approval is" if missing == 1 else f"{missing} more approvals are"
    people = {0: "nobody", 1: "only one person"}.get(left, f"only {left} people")
    asked = approval.requester_user_id is not None or approval.author_ids
    own = asked and not approval.terms.allow_self_approval
    return (
        f"{needs} needed, but {people} may vote{' (whoever asked may not)' if own else ''}. Add"
        " people to a role that may decide about it, or end it and change the rule"
        f" ({approval.terms.name}): that counts for what is asked afterwards."
    )


def list_rules(*, organization_id: UUID) -> QuerySet[ApprovalRule]:
    """The organization's rules by name."""
    return ApprovalRule.objects.filter(organization_id=organization_id).order_by("name", "pk")


def get_rule(*, organization_id: UUID, rule_id: UUID) -> ApprovalRule:
    """One rule; raises RuleNotFound."""
    rule = ApprovalRule.objects.filter(organization_id=organization_id, pk=rule_id).first()
    if rule is None:
        raise RuleNotFound
    return rule


def find_terms(
    *, organization_id: UUID, action: str, details: Mapping[str, Any], rule_id: UUID | None = None
) -> Terms:
    """Who decides about `action`: the named rule, else the most specific active one that fits.

    An exact action goes before a longer beginning, that before a shorter one, more conditions
    before fewer, and then the older rule. Without any: one person, within a day.
    """
    active = ApprovalRule.objects.filter(organization_id=organization_id, is_active=True)
    rules = list(
        active.filter(Q(pk=rule_id) | Q(action=action) | Q(action__endswith=WILDCARD)).order_by(
            "created_at", "pk"
        )
    )
    named = next((rule for rule in rules if rule.pk == rule_id), None)
    fitting = [rule for rule in rules if _fits(rule, action, details)]
    found = named or max(fitting, key=_weight, default=None)
    return Terms() if found is None else found.terms


def _fits(rule: ApprovalRule, action: str, details: Mapping[str, Any]) -> bool:
    if rule.action.endswith(WILDCARD):
        is_named = action.startswith(rule.action.removesuffix(WILDCARD))
    else:
        is_named = rule.action == action
    return is_named and all(
        _same(_value(details, name), value) for name, value in rule.conditions.items()
    )


def _weight(rule: ApprovalRule) -> tuple[bool, int, int]:
    return not rule.action.endswith(WILDCARD), len(rule.action), len(rule.conditions)


def _value(details: Any, name: str) -> Any:
    """What is called `name` in the details; a dot goes inside."""
    for part in name.split("."):
        if not isinstance(details, Mapping) or part not in details:
            return MISSING
        details = details[part]
    return details


def _same(value: Any, wanted: Any) -> bool:
    """Equal as JSON: 1 is neither true nor "1"."""
    return isinstance(value, bool) == isinstance(wanted, bool) and bool(value == wanted)


def _place(scope: Mapping[str, str]) -> Q:
    """The approvals that a role held for `scope` covers."""
    if not scope:
        return ALWAYS
    if set(scope) != {"agent_id"}:
        return Q(pk__in=[])
    return Q(agent_id=scope["agent_id"])


def _canonical(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _canonical(part) for key, part in value.items()}
    if isinstance(value, str) or not isinstance(value, Iterable):
        return int(value) if isinstance(value, float) and value.is_integer() else value
    return [_canonical(part) for part in value]
