"""An organization with a row of every kind, and the ids that lead to each route of the API."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final
from uuid import UUID, uuid4

import orjson
import pyotp

from accounts.choices import SessionKind, UserRole
from accounts.models import AgentKey, Organization, Session, User
from accounts.operations.bootstrap import hash_key
from agents.choices import StepKind
from agents.models import (
    AgentExecution,
    AgentOverride,
    ExecutionReplay,
    ExecutionStep,
    StepOutput,
)
from audit.models import AuditEvent
from cost.operations import rollup
from dead_letters.models import DeadLetter
from kernel import clock
from limits.models import LimitRule
from memory.models import Memory
from sso.models import PendingLogin
from tests.accounts import factories
from tests.approvals.factories import approve, ask
from tests.clients import ApiClient
from tests.cost.factories import Call
from tests.hub.console_rows import Finished, fill
from tests.sso.factories import link
from tools.models import CatalogTool

AGENT_SECRET: Final = "agent-secret-0123456789"
DOCUMENT: Final = '{"openapi": "3.1.0", "servers": [{"url": "https://theirs.example.com"}]}'
NARROW: Final = ["knowledge.read"]
PUT: Final[dict[str, Any]] = {
    "/api/v1/settings/llm/default_model": {"value": "theirs"},
    "/api/v1/security/ip-rules": {
        "items": [{"cidr": "203.0.113.0/24", "action": "deny", "description": "theirs"}]
    },
}


@dataclass(frozen=True, slots=True)
class World:
    """The organization, its people, and `ids`: what fills the parameters of each path."""

    organization: Organization
    admin: User
    operator: User
    viewer: User
    ids: dict[str, tuple[str, ...]]

    def path(self, template: str) -> str:
        """The path that `template` (with `{}` for each parameter) stands for here."""
        named = [ids for prefix, ids in self.ids.items() if template.startswith(prefix)]
        if "{}" not in template:
            return template
        assert named, f"tests/contract/world.py has no id for {template}."
        return template.format(*named[-1])


def make() -> World:
    """A new one; everything that can be made over the API is."""
    organization = factories.make_organization()
    people = {role: factories.make_user(organization, role=role) for role in UserRole}
    admin = people[UserRole.ADMIN]
    client = ApiClient(admin)
    finished = fill(admin)
    role = made(client, "/api/v1/roles", {"name": "Custom", "permissions": ["task.read"]})
    person = factories.make_user(organization, role=UserRole.VIEWER, email=f"{uuid4()}@example.com")
    grant = {"user_id": str(person.pk), "role_id": role["id"], "scope": {"environment": "prod"}}
    assignment = made(client, "/api/v1/user-roles", grant)
    key = made(client, "/api/v1/security/api-keys", {"name": "Key", "scopes": ["read"]})
    project = made(client, "/api/v1/projects", {"name": "Project"})
    stage = {"project_id": project["id"], "name": "prod", "type": "prod"}
    environment = made(client, "/api/v1/environments", stage)
    approval = ask(organization)
    approve(ask(organization), people[UserRole.OPERATOR])
    rule = made(client, "/api/v1/approval-rules", {"name": "Rule", "action": "deploy"})
    breaker = made(client, "/api/v1/circuit-breakers", {"name": "provider:theirs"})
    budget = made(
        client,
        "/api/v1/budgets",
        {"scope": "organization", "period": "month", "limit_usd": "1", "is_hard": True},
    )
    rate = {"provider": "openai", "model": "theirs", "input_usd": "1", "output_usd": "1"}
    price = made(client, "/api/v1/prices", rate)
    spend(organization)
    knowledge = client.get("/api/v1/knowledge").json()["items"][0]["id"]
    described = {"name": "theirs", "kind": "openapi", "document": DOCUMENT}
    source = made(client, "/api/v1/tool-sources", described)
    enrol(person)
    for path, body in PUT.items():
        changed = client.put(path, body)
        assert changed.status_code == 200, (path, changed.content)
    mint(organization)
    vouch(person)
    return World(
        organization,
        admin,
        people[UserRole.OPERATOR],
        people[UserRole.VIEWER],
        {
            "/api/v1/admin/users/{}": one(person.pk),
            "/api/v1/agent-overrides/{}": (str(_newest(AgentOverride, organization)), "1"),
            "/api/v1/agents/{}": one(finished.agent.pk),
            "/api/v1/agents/{}/versions/{}": (str(finished.agent.pk), "1"),
            "/api/v1/agents/memories/{}": one(_newest(Memory, organization)),
            "/api/v1/approval-rules/{}": one(rule["id"]),
            "/api/v1/approvals/{}": one(approval.pk),
            "/api/v1/audit-events/{}": one(_newest(AuditEvent, organization)),
            "/api/v1/auth/sessions/{}": one(_session(admin)),
            "/api/v1/budgets/{}": one(budget["id"]),
            "/api/v1/circuit-breakers/{}": one(breaker["service"]),
            "/api/v1/dead-letter/{}": one(_newest(DeadLetter, organization, "task_id")),
            "/api/v1/environments/{}": one(environment["id"]),
            "/api/v1/executions/{}": one(_execution(finished)),
            "/api/v1/knowledge/{}": one(knowledge),
            "/api/v1/limits/{}": one(_newest(LimitRule, organization)),
            "/api/v1/prices/{}": one(price["id"]),
            "/api/v1/projects/{}": one(project["id"]),
            "/api/v1/roles/{}": one(role["id"]),
            "/api/v1/security/api-keys/{}": one(key["id"]),
            "/api/v1/security/sessions/{}": one(_session(admin)),
            "/api/v1/settings/{}": ("llm", "default_model"),
            "/api/v1/tasks/{}": one(finished.task.pk),
            "/api/v1/tool-sources/{}": one(source["id"]),
            "/api/v1/tools/{}": one(_newest(CatalogTool, organization)),
            "/api/v1/user-roles/{}": one(assignment["id"]),
            "/api/v1/tool-outputs/{}": one(whole_output(finished)),
            "/api/v1/users/{}": one(person.pk),
            "/agents/{}": (finished.agent.name,),
            "/permissions/{}": ("task.read",),
            "/v1/agentexecution/{}": one(_execution(finished)),
            "/v1/agentoverride/{}": one(_newest(AgentOverride, organization)),
            "/v1/toolcatalogentry/{}": one(_newest(CatalogTool, organization)),
        },
    )


def vouch(person: User) -> None:
    """Let an identity provider know them, and a login there be under way."""
    link(person, "https://login.example.com", str(person.pk))
    PendingLogin.objects.create(
        organization=person.organization,
        kind=SessionKind.API,
        state_hash=str(person.pk),
        nonce="nonce",
        sealed_verifier=b"verifier",
        issuer="https://login.example.com",
        client_id="hub",
        redirect_uri="http://127.0.0.1/callback",
        expires_at=clock.now() + timedelta(minutes=10),
    )


def spend(organization: Organization) -> None:
    """A call that is booked and in its day, and one that is under way."""
    now = clock.now()
    Call(organization.pk, now=now).book()
    Call(organization.pk, now=now).reserve()
    rollup.roll_usage()


def enrol(person: User) -> None:
    """Give them a second factor with its backup codes, and another password."""
    own = ApiClient(person)
    device = made(own, "/api/v1/auth/mfa/setup", status=200)
    code = pyotp.TOTP(device["secret"]).now()
    made(own, "/api/v1/auth/mfa/verify", {"code": code}, status=200)
    passwords = {"current_password": factories.PASSWORD, "new_password": "Another-Horse-7-Battery"}
    made(own, "/api/v1/auth/change-password", passwords, status=200)


def one(value: UUID | str) -> tuple[str]:
    return (str(value),)


def made(client: ApiClient, path: str, body: Any = None, *, status: int = 201) -> Any:
    answer = client.post(path, body or {}, headers={"Idempotency-Key": str(uuid4())})
    assert answer.status_code == status, (path, answer.content)
    return answer.json()


def whole_output(finished: Finished) -> UUID:
    """The step of a call whose output was cut for the model, of a run that is played again."""
    run = AgentExecution.objects.get(task_id=finished.task.pk)
    step = ExecutionStep.objects.create(
        organization=run.organization,
        execution=run,
        ordinal=1000,
        kind=StepKind.TOOL_CALL,
        tool="calculator",
        is_cut=True,
    )
    StepOutput.objects.create(organization=run.organization, step=step, text="theirs")
    ExecutionReplay.objects.create(organization=run.organization, task_id=uuid4(), origin=run)
    return step.pk


def mint(organization: Organization) -> None:
    """A key of a remote agent."""
    AgentKey.objects.create(
        organization=organization,
        name="Agent",
        prefix=AGENT_SECRET[:4],
        key_hash=hash_key(f"{AGENT_SECRET}{organization.pk}"),
    )


def _newest(model: Any, organization: Organization, field: str = "pk") -> UUID:
    row = model.objects.filter(organization_id=organization.pk).latest("pk")
    found: UUID = getattr(row, field)
    return found


def _session(user: User) -> UUID:
    return Session.objects.filter(user=user).latest("pk").pk


def _execution(finished: Finished) -> UUID:
    return AgentExecution.objects.get(task_id=finished.task.pk).pk


def narrow_key(owner: User) -> str:
    """An API key of `owner` that may only read knowledge."""
    body = {"name": "Narrow", "scopes": NARROW}
    key: str = made(ApiClient(owner), "/api/v1/security/api-keys", body)["key"]
    return key


def encode(body: Any) -> bytes:
    """As JSON."""
    return orjson.dumps(body)
