"""An organization's own provider, model and keys, with the environment as default."""

from collections.abc import Iterator
from typing import Any

import pytest
from pytest_django.fixtures import Settings

from accounts.models import Organization
from agents.models import Agent
from agents.operations import catalogue, run_agent
from agents.runtime.provider_registry import ProviderRegistry
from agents.runtime.providers import ProviderSettings
from agents.runtime.spec import FailureKind, RunResult
from hub.env import Provider
from kernel import clock, loop, tenancy
from preferences import operations as preferences
from preferences.models import StoredSetting
from tests.accounts.factories import make_organization
from tests.agents.factories import PERSON, make_agent
from tests.peers.model_server import KEY, ModelPeer
from tests.peers.openai_server import openai_peer
from tests.peers.script import Answer
from tests.tasks import factories

pytestmark = pytest.mark.django_db(transaction=True)
OPENAI = "llm.openai_api_key"


@pytest.fixture
def home(transactional_db: None) -> Organization:
    """An organization that other threads see."""
    return make_organization()


@pytest.fixture
def peer(settings: Settings) -> Iterator[ModelPeer]:
    """OpenAI as the hub's environment names it; its KEY is the hub's own."""
    with openai_peer(Answer(text="Hello.")) as model:
        settings.HUB_PROVIDERS = {
            "openai": Provider(
                api_key="sk-of-the-hub", base_url=f"{model.url}/v1", model="hub-model"
            )
        }
        catalogue.providers.cache_clear()
        run_agent.model_registry.cache_clear()
        yield model
        loop.get().submit(run_agent.model_registry().aclose()).result(10)
        run_agent.model_registry.cache_clear()
        catalogue.providers.cache_clear()
        loop.stop(timeout=5)


def change(organization: Organization, **values: Any) -> None:
    preferences.change(
        organization_id=organization.pk,
        values={f"llm.{name}": value for name, value in values.items()},
        actor=PERSON,
        now=clock.now(),
    )


def run(agent: Agent) -> RunResult:
    """One task of the agent, run as a worker runs it."""
    claim = factories.claim_one(factories.make_task(agent.organization, agent=agent))
    with tenancy.organization(agent.organization_id):
        return (
            loop.get()
            .submit(run_agent.run(execution=claim.execution, version=claim.version))
            .result(30)
        )


def failure(result: RunResult) -> FailureKind | None:
    return result.error.kind if result.error else None


def test_a_new_key_counts_for_the_next_run_and_for_nobody_else(
    home: Organization, peer: ModelPeer
) -> None:
    mine = make_agent(home, llm_provider="openai")
    other = make_agent(make_organization(), llm_provider="openai")
    assert failure(run(mine)) is FailureKind.PROVIDER_AUTH  # the hub's key is not the peer's

    change(home, openai_api_key=KEY)

    assert run(mine).output == "Hello."
    assert failure(run(other)) is FailureKind.PROVIDER_AUTH
    keys = [request.headers["authorization"] for request in peer.requests]
    assert keys == ["Bearer sk-of-the-hub", f"Bearer {KEY}", "Bearer sk-of-the-hub"]


def test_a_key_taken_away_is_not_used_again(home: Organization, peer: ModelPeer) -> None:
    agent = make_agent(home, llm_provider="openai")
    change(home, openai_api_key=KEY)
    run(agent)

    change(home, openai_api_key=None)
    run(agent)

    assert peer.requests[-1].headers["authorization"] == "Bearer sk-of-the-hub"


def test_a_provider_that_the_hub_has_not_works_with_a_key_of_ones_own(
    home: Organization, peer: ModelPeer
) -> None:
    agent = make_agent(home, llm_provider="anthropic")
    assert failure(run(agent)) is FailureKind.PROVIDER_NOT_CONFIGURED

    change(home, anthropic_api_key="sk-ant-of-ours")

    with tenancy.organization(home.pk):
        (model,), keys = run_agent._reach(home.pk, [("anthropic", "")])
    assert keys == {"anthropic": "sk-ant-of-ours"}
    models = run_agent.model_registry().with_keys(keys)

    async def name() -> str:
        return models.model(*model).model_name

    assert loop.get().submit(name()).result(10) == "claude-sonnet-5-5"


def test_a_secret_of_another_hub_key_ends_the_run_with_a_reason(
    home: Organization, peer: ModelPeer
) -> None:
    agent = make_agent(home, llm_provider="openai")
    change(home, openai_api_key=KEY)
    StoredSetting.objects.update(sealed_value=b"\x01" + b"0" * 40)

    result = run(agent)

    assert failure(result) is FailureKind.PROVIDER_NOT_CONFIGURED
    assert peer.requests == []


def test_the_default_model_is_that_of_the_default_provider(
    home: Organization, peer: ModelPeer
) -> None:
    change(home, openai_api_key=KEY, default_provider="openai", default_model="our-model")
    unnamed = make_agent(home, llm_provider="")
    named = make_agent(home, llm_provider="", llm_model="their-model")

    for agent in (unnamed, named):
        run(agent)
    change(home, default_provider="anthropic")
    run(unnamed)

    asked = [request.body["model"] for request in peer.requests]
    assert asked == ["our-model", "their-model", "hub-model"]


def test_agents_without_a_provider_get_the_organizations_choice(home: Organization) -> None:
    change(home, default_provider="google")

    mine = make_agent(home, llm_provider="")
    other = make_agent(make_organization(), llm_provider="")

    assert mine.current_version is not None
    assert other.current_version is not None
    assert (mine.current_version.llm_provider, other.current_version.llm_provider) == (
        "google",
        "demo",
    )


def test_keys_are_kept_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agents.runtime.provider_registry.MAX_CLIENTS", 2)
    monkeypatch.setattr("agents.runtime.provider_registry.MAX_MODELS", 3)
    registry = ProviderRegistry({"openai": ProviderSettings(api_key="hub")})

    async def use() -> list[Any]:
        made = [registry.with_keys({"openai": f"key-{n}"}).model("openai", "m") for n in range(5)]
        again = registry.with_keys({"openai": "key-4"}).model("openai", "m")
        await registry.aclose()
        return [*made, again]

    made = loop.get().submit(use()).result(10)

    assert made[-1] is made[-2]
    assert len(set(map(id, made[:-1]))) == 5
