"""Questions about limits."""

from collections.abc import Iterable, Mapping, Sequence
from uuid import UUID

from django.db.models import Q, QuerySet

from limits.choices import EACH, Bucket
from limits.errors import LimitNotFound
from limits.models import LimitRule


def list_limits(*, organization_id: UUID) -> QuerySet[LimitRule]:
    """The organization's rules by scope and name."""
    rows = LimitRule.objects.filter(organization_id=organization_id)
    return rows.order_by("scope", "name", "pk")


def get_limit(*, organization_id: UUID, limit_id: UUID) -> LimitRule:
    """One rule; raises LimitNotFound."""
    found = LimitRule.objects.filter(organization_id=organization_id, pk=limit_id).first()
    if found is None:
        raise LimitNotFound
    return found


def find_rules(*, organization_id: UUID, buckets: Iterable[Bucket]) -> dict[Bucket, LimitRule]:
    """The rule that holds for each bucket, where there is one."""
    asked = [bucket for bucket in buckets if bucket[1]]
    wanted = Q(pk__in=[])
    for scope, name in asked:
        wanted |= Q(scope=scope, name__in=[name, EACH])
    return pick_rules(LimitRule.objects.filter(wanted, organization_id=organization_id), asked)


def pick_rules(rules: Iterable[LimitRule], buckets: Sequence[Bucket]) -> dict[Bucket, LimitRule]:
    """The same among `rules` of one organization: one of its own name goes before `*`."""
    by_name: Mapping[Bucket, LimitRule] = {(rule.scope, rule.name): rule for rule in rules}
    found = {}
    for scope, name in buckets:
        rule = by_name.get((scope, name)) or by_name.get((scope, EACH))
        if rule is not None:
            found[scope, name] = rule
    return found
