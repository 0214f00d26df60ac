"""A secret that the hub knows is nowhere but in the sealed columns, whoever tells it to whom."""

import io
import json
import logging
from collections.abc import Iterator, Mapping
from typing import Any, Final

import pytest
import structlog
from django.conf import settings
from django.db import connection
from django.test import Client

from accounts.models import Organization, User
from agents.models import Agent, AgentExecution, ExecutionStep, StepOutput
from agents.runtime.tools import Tool, ToolFailed
from approvals.models import Approval
from audit import operations as audit
from audit.selectors import exports
from audit.selectors.exports import Export
from events import operations as events
from kernel import clock, redis_client
from kernel.actors import SYSTEM
from kernel.redaction import SecretInText
from knowledge.operations import ingest
from memory.models import Memory
from tasks.models import Task
from tests.agents.factories import make_agent, registered
from tests.approvals.factories import ask, make_rule
from tests.clients import ApiClient
from tests.contract.conformance import document
from tests.hub.console_rows import PAGES, address, list_address
from tests.knowledge.factories import document as document_of
from tests.memory.factories import make_memory
from tests.peers.model_server import ModelPeer
from tests.peers.script import Answer, Refusal, Step
from tests.tasks import factories
from tests.tasks.scripted import answering, finish
from tests.tools.factories import make_secret

VAULT: Final = "canary-7d41c9e2b05f"
SETTING: Final = "sk-canary-83aa51f0e6d2b7"
KEY: Final = "/api/v1/settings/llm/anthropic_api_key"
CODE: Final = "secrets.value_in_text"
TEXT: Final = f"Log in with user:{VAULT}@host."
MANY: Final = "x" * 150_000


@pytest.fixture
def client(admin: User) -> ApiClient:
    """An administrator; the organization has a secret in the vault and one in its settings."""
    make_secret(admin.organization, value=VAULT)
    client = ApiClient(admin)
    assert client.put(KEY, {"value": SETTING}).status_code == 200
    return client


@pytest.fixture
def written() -> Iterator[io.StringIO]:
    """The log of the test, as the hub writes it."""
    given = dict(settings.LOGGING["formatters"]["hub"])
    del given["()"]
    handler = logging.StreamHandler(io.StringIO())
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(**given))
    logging.getLogger().addHandler(handler)
    yield handler.stream
    logging.getLogger().removeHandler(handler)


def stored() -> list[str]:
    """The tables with a canary in some column of some row, sealed ones left out by being sealed."""
    found: list[str] = []
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT table_name FROM information_schema.tables"
            " WHERE table_schema = 'public' AND table_type = 'BASE TABLE'"
        )
        for (table,) in cursor.fetchall():
            for word in (VAULT, VAULT.encode().hex(), SETTING, SETTING.encode().hex()):
                sql = f'SELECT count(*) FROM "{table}" AS found WHERE strpos(found::text, %s) > 0'
                cursor.execute(sql, [word])
                found += [table] * cursor.fetchone()[0]
    return found


def in_redis() -> bytes:
    """All that Redis keeps."""
    redis: Any = redis_client.client()
    read = {
        b"string": redis.get,
        b"list": lambda key: redis.lrange(key, 0, -1),
        b"hash": redis.hgetall,
        b"set": redis.smembers,
        b"zset": lambda key: redis.zrange(key, 0, -1),
        b"stream": redis.xrange,
    }
    return repr([(key, read[redis.type(key)](key)) for key in redis.scan_iter()]).encode()


# --- what people send ---------------------------------------------------------------------------

ANNOUNCED: Final = "general.announcement"
OF_AGENT: Final = "/api/v1/agents/{agent}"
SENT: Final[tuple[tuple[str, str, dict[str, Any], str], ...]] = (
    ("post", "/api/v1/tasks", {"title": TEXT}, "title"),
    ("post", "/api/v1/tasks", {"title": "T", "description": TEXT}, "description"),
    ("post", "/api/v1/tasks", {"title": "T", "instructions": SETTING}, "instructions"),
    ("post", "/api/v1/tasks", {"title": "T", "metadata": {"a": [TEXT]}}, "metadata.a.0"),
    ("post", "/api/v1/tasks/bulk", {"tasks": [{"title": TEXT}]}, "tasks.0.title"),
    ("patch", "/api/v1/tasks/{task}", {"title": TEXT}, "title"),
    ("post", "/api/v1/agents", {"name": "A", "system_prompt": TEXT}, "system_prompt"),
    ("patch", OF_AGENT, {"description": TEXT}, "description"),
    ("post", f"{OF_AGENT}/run", {"prompt": TEXT}, "prompt"),
    ("post", f"{OF_AGENT}/stream", {"prompt": TEXT}, "prompt"),
    ("post", f"{OF_AGENT}/memories", {"content": TEXT}, "content"),
    ("post", "/api/v1/knowledge", {"title": "K", "content": TEXT}, "content"),
    ("post", "/api/v1/approvals", {"action": "deploy", "details": {"a": TEXT}}, "details.a"),
    ("post", "/api/v1/approvals/{approval}/reject", {"reason": TEXT}, "reason"),
    ("post", "/api/v1/approval-rules", {"name": TEXT, "action": "deploy"}, "name"),
    ("post", "/api/v1/projects", {"name": TEXT}, "name"),
    ("put", "/api/v1/settings/llm/default_model", {"value": TEXT}, "llm.default_model"),
    ("put", "/api/v1/settings/bulk", {"settings": {ANNOUNCED: TEXT}}, ANNOUNCED),
)


@pytest.mark.parametrize("sent", SENT, ids=lambda sent: f"{sent[1]} {sent[3]}")
def test_what_people_send_is_refused_and_the_field_named(
    client: ApiClient, admin: User, sent: tuple[str, str, dict[str, Any], str]
) -> None:
    method, path, body, field = sent
    agent = make_agent(admin.organization)
    ids = {
        "agent": agent.pk,
        "task": factories.make_task(admin.organization).pk,
        "approval": ask(admin.organization, rule_id=make_rule(admin.organization).pk).pk,
    }

    answer = getattr(client, method)(path.format(**ids), body)

    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (422, CODE)
    assert [each["field"] for each in problem["errors"]] == [field]
    assert VAULT not in answer.content.decode()
    assert stored() == []


def test_the_dialect_of_seed_004_refuses_it_in_its_words(client: ApiClient) -> None:
    body = {"agentName": "helper", "systemPrompt": TEXT}

    answer = client.post("/v1/agentoverride", body)

    assert (answer.status_code, answer.json()["message"]) == (400, "errMsg_systemPromptIsNotValid")
    assert stored() == []


def test_no_body_of_any_route_leaves_it_anywhere(client: ApiClient, admin: User) -> None:
    bodies = [
        (method, path, filled(operation))
        for path, item in document()["paths"].items()
        for method, operation in item.items()
        if method in {"post", "put", "patch"} and "{" not in path and "/settings" not in path
    ]

    for method, path, body in bodies:
        getattr(client, method)(path, body)

    assert len(bodies) == len({path for _, path, _ in bodies}) >= 40
    assert stored() == []


def filled(operation: Mapping[str, Any]) -> Any:
    """A body with the canary wherever a text goes."""
    content = operation.get("requestBody", {}).get("content", {})
    return _example(content.get("application/json", {}).get("schema", {}), depth=0)


def _example(schema: Mapping[str, Any], *, depth: int) -> Any:
    if "$ref" in schema:
        schema = document()["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    one_of = next((schema[each] for each in ("allOf", "oneOf", "anyOf") if each in schema), None)
    if one_of or depth > 5:
        return _example(one_of[0], depth=depth) if one_of else None
    if "enum" in schema:
        return schema["enum"][0]
    if schema.get("type") == "array":
        return [_example(schema.get("items", {}), depth=depth + 1)]
    if schema.get("type") == "object":
        fields = schema.get("properties", {}).items()
        return {name: _example(each, depth=depth + 1) for name, each in fields} or {"key": TEXT}
    return _plain(schema)


def _plain(schema: Mapping[str, Any]) -> Any:
    match schema.get("type"), schema.get("format"):
        case "string", "uuid" | "date-time" | "decimal":
            return None
        case "string", "email":
            return f"{VAULT}@example.com"
        case "integer" | "number", _:
            return schema.get("minimum", 1)
        case "boolean", _:
            return True
    return VAULT


def test_a_secret_may_be_sent_where_secrets_belong(client: ApiClient) -> None:
    assert client.put(KEY, {"value": SETTING}).status_code == 200
    assert stored() == []


def test_another_organization_does_not_learn_of_it(
    client: ApiClient, stranger: User, organization: Organization
) -> None:
    assert ApiClient(stranger).post("/api/v1/tasks", {"title": TEXT}).status_code == 201


def test_the_console_refuses_it_too(client: ApiClient, admin: User) -> None:
    browser = Client()
    browser.force_login(admin)
    memory = make_memory(make_agent(admin.organization))
    typed = {"content": TEXT, "importance": "0.5", "_form_submitted": "on"}

    page = browser.post(address(Memory, memory.pk, "change_memory"), typed)

    assert (page.status_code, SecretInText.message in page.content.decode()) == (200, True)
    assert stored() == []


def test_a_document_that_holds_one_is_not_taken_in(client: ApiClient, admin: User) -> None:
    with pytest.raises(SecretInText):
        ingest.ingest_document(
            organization_id=admin.organization_id,
            document=document_of(f"# Access\n\n{TEXT}"),
            category="general",
            actor=SYSTEM,
            now=clock.now(),
        )


# --- what runs produce --------------------------------------------------------------------------


def leak(_context: Any, arguments: Mapping[str, Any]) -> Any:
    """A tool that shows what it was configured with, in the way that it is asked for."""
    match arguments.get("how"):
        case "fail":
            raise ToolFailed(f"The server said: {TEXT}")
        case "break":
            raise RuntimeError(f"refused {SETTING}")
        case "much":
            return MANY + TEXT + MANY
        case _:
            return {"config": {"headers": [f"Bearer {VAULT}"], VAULT: 1}, "key": SETTING}


TOOL: Final = Tool(
    name="leak",
    description="Shows its configuration.",
    parameters={"type": "object", "properties": {"how": {"type": "string"}}},
    call=leak,
    side_effect="read",
    idempotent=True,
    output_limit_bytes=1_000,
)
WAYS: Final = ("show", "fail", "break", "much", VAULT)


def respond(body: Mapping[str, Any]) -> Step:
    """Call the tool in every way, telling the secret; then say it in the answer."""
    if any(message["role"] == "tool" for message in body["messages"]):
        return Answer(text=f"It is {VAULT} , so use {SETTING} or key={VAULT}.")
    return Answer(text=TEXT, tool_calls=tuple(("leak", {"how": how}) for how in WAYS))


@pytest.fixture
def peer(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModelPeer]:
    with registered(TOOL), answering(monkeypatch, respond) as model:
        yield model


@pytest.fixture
def agent(organization: Organization, peer: ModelPeer) -> Agent:
    return make_agent(organization, llm_provider="openai", enabled_tools=["leak"])


@pytest.mark.django_db(transaction=True)
def test_what_a_run_says_is_redacted_wherever_it_goes(
    client: ApiClient, admin: User, agent: Agent, peer: ModelPeer, written: io.StringIO
) -> None:
    redis: Any = redis_client.client()
    heard = redis.pubsub()
    heard.psubscribe("*")
    task = factories.make_task(agent.organization, agent=agent)

    done = finish(factories.claim_one(task))
    events.relay_outbox(now=clock.now())
    audit.seal_events(now=clock.now())

    run = AgentExecution.objects.get(task_id=task.pk)
    assert (done.result, run.output) == (ANSWER, ANSWER)
    assert errors_of(run) == [
        "The server said: Log in with user:[redacted]@host.",
        "The tool failed unexpectedly (RuntimeError).",
    ]
    assert (StepOutput.objects.count(), stored()) == (1, [])
    live = b"".join(repr(m).encode() for m in iter(lambda: heard.get_message(timeout=0.2), None))
    assert b"task.output" in live
    assert b"task.tool_result" in live
    sent = json.dumps([request.body for request in peer.requests]).encode()
    for place in (live, in_redis(), sent, written.getvalue().encode(), trail(agent)):
        assert VAULT.encode() not in place
        assert SETTING.encode() not in place
    assert "agents.tool.broke" in written.getvalue()
    look_at_pages(client, admin, task)


ANSWER: Final = "It is [redacted] , so use [redacted] or key=[redacted]."


def errors_of(run: AgentExecution) -> list[str]:
    """What went wrong in its calls."""
    steps = ExecutionStep.objects.filter(execution=run).exclude(error="")
    return sorted(steps.values_list("error", flat=True))


def trail(agent: Agent) -> bytes:
    """The audit export."""
    extent = exports.choose(
        organization_id=agent.organization_id, since=None, until=None, now=clock.now()
    )
    export = Export(extent)
    pieces: list[bytes] = []
    while not export.is_over:
        pieces.append(export.next())
    return b"".join(pieces)


def look_at_pages(client: ApiClient, admin: User, task: Task) -> None:
    """No page of API, console and metrics has a canary."""
    browser = Client()
    browser.force_login(admin)
    run = AgentExecution.objects.get(task_id=task.pk)
    addresses = [list_address(model) for model in PAGES]
    addresses += [address(Task, task.pk), address(AgentExecution, run.pk), "/admin/settings/llm/"]
    answers = [browser.get(where) for where in addresses]
    asked = (f"tasks/{task.pk}", f"executions/{run.pk}", "settings", "audit-events", "tasks")
    answers += [client.get(f"/api/v1/{path}") for path in asked]
    answers.append(browser.get("/metrics"))
    for answer in answers:
        assert answer.status_code == 200, answer.request["PATH_INFO"]
        assert VAULT not in answer.content.decode()
        assert SETTING not in answer.content.decode()


@pytest.mark.django_db(transaction=True)
def test_a_call_that_waits_for_a_person_shows_no_secret(
    client: ApiClient, organization: Organization, peer: ModelPeer
) -> None:
    agent = make_agent(
        organization,
        llm_provider="openai",
        enabled_tools=["leak"],
        risk_rules={"require_approval_for": ["leak"]},
    )

    finish(factories.claim_one(factories.make_task(organization, agent=agent)))

    asked = [approval.details["arguments"] for approval in Approval.objects.all()]
    assert {"how": "[redacted]"} in asked
    assert stored() == []


@pytest.mark.django_db(transaction=True)
def test_a_provider_that_repeats_the_key_is_not_repeated(
    client: ApiClient,
    organization: Organization,
    monkeypatch: pytest.MonkeyPatch,
    written: io.StringIO,
) -> None:
    client.put(KEY.replace("anthropic", "openai"), {"value": SETTING})
    agent = make_agent(organization, llm_provider="openai")
    with answering(monkeypatch, lambda _body: Refusal(status=401)) as model:
        task = finish(factories.claim_one(factories.make_task(organization, agent=agent)))

    assert task.error_kind == "provider_auth"
    assert SETTING in str(model.requests[0].headers)
    assert stored() == []
    assert SETTING not in written.getvalue()
