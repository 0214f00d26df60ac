"""Deciding from where an organization may be reached."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from ipaddress import IPv6Network, ip_network
from typing import Any, Final
from uuid import UUID

from django.db import transaction

from accounts.errors import RulesLockOut
from accounts.models import IpRule, Organization
from accounts.operations import callers
from accounts.selectors import network
from audit import operations as audit
from kernel.actors import Actor
from kernel.errors import Invalid

MOST_RULES: Final = 500
MAPPED: Final = IPv6Network("::ffff:0:0/96")


@transaction.atomic
def replace_rules(
    *, organization_id: UUID, rules: Sequence[Mapping[str, str]], actor: Actor, now: datetime
) -> list[IpRule]:
    """Replace the whole list by `rules` (`cidr`, `action`, `description`); they keep its order.

    The same list again leaves no trace.

    Raises Invalid, and RulesLockOut for a list that would refuse the caller's present address.
    """
    wanted = _checked(rules)
    packed = [f"{rule['action']} {rule['cidr']}" for rule in wanted]
    if not network.is_allowed(rules=network.prepare(packed), address=actor.ip_address):
        raise RulesLockOut
    # Two lists at the same time: the later one wins whole.
    Organization.objects.select_for_update().get(pk=organization_id)
    existing = network.list_rules(organization_id=organization_id)
    known = list(existing)
    if [_columns(rule) for rule in known] == wanted:
        return known
    before = [f"{rule.action} {rule.cidr}" for rule in known]
    existing.delete()
    made = IpRule.objects.bulk_create(
        [
            IpRule(organization_id=organization_id, position=position, created_at=now, **rule)
            for position, rule in enumerate(wanted)
        ]
    )
    audit.record(
        actor=actor,
        organization_id=organization_id,
        action="ip_rules.update",
        resource_type="organization",
        resource_id=organization_id,
        details={"removed": sorted({*before} - {*packed}), "added": sorted({*packed} - {*before})},
        now=now,
    )
    callers.forget(organization_id=organization_id)
    return made


def _columns(rule: IpRule) -> dict[str, str]:
    return {"cidr": rule.cidr, "action": rule.action, "description": rule.description}


def _checked(rules: Sequence[Mapping[str, str]]) -> list[dict[str, str]]:
    if len(rules) > MOST_RULES:
        raise Invalid.field("items", f"Send at most {MOST_RULES} rules.", type="max_length")
    wrong: list[dict[str, str]] = []
    wanted: list[dict[str, str]] = []
    for index, rule in enumerate(rules):
        try:
            plain = {**rule, "cidr": normalize(rule["cidr"])}
            wanted.append({"description": "", **plain})
        except ValueError as error:
            wrong.append({"field": f"items.{index}.cidr", "message": str(error), "type": "cidr"})
    if wrong:
        raise Invalid(fields=wrong)
    twins = len(wanted) - len({(rule["cidr"], rule["action"]) for rule in wanted})
    if twins:
        raise Invalid.field("items", "A network is listed twice.", type="unique")
    return wanted


def normalize(cidr: str) -> str:
    """The network in its plain form, an IPv4 one that IPv6 carries as IPv4.

    Raises ValueError with a sentence: for garbage, and for a network with host bits set, where the
    writer meant either the one address or the whole network.
    """
    try:
        found = ip_network(cidr.strip())
    except ValueError:
        loose = _loosely(cidr)
        hint = f" Did you mean {loose}?" if loose else ""
        raise ValueError(f"Send a network such as 10.0.0.0/8 or 2001:db8::/32.{hint}") from None
    if isinstance(found, IPv6Network) and found.subnet_of(MAPPED):
        inside: Any = found.network_address.ipv4_mapped
        return str(ip_network((inside, found.prefixlen - 96)))
    return str(found)


def _loosely(cidr: str) -> str:
    try:
        return str(ip_network(cidr.strip(), strict=False))
    except ValueError:
        return ""
