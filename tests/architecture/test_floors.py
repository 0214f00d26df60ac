"""Who stands on whom. import-linter checks the imports; these tests check what it cannot see."""

import grimp
import pytest
from django.apps import apps
from django.db.models import Model

from tests.architecture import house

DOORS = {"operations", "selectors", "models", "errors", "choices"}
# Modules that other apps may import although they are no door, each with its reason.
OTHER_DOORS: dict[str, str] = {
    "agents.runtime.spec": "The frozen dataclasses that agents.operations.run_agent gives back.",
    "agents.runtime.tools": "How apps describe the tools that they contribute.",
    "accounts.serializers.auth": "Every kind of login is answered in the same shape.",
}


def local_models() -> list[type[Model]]:
    return [m for m in apps.get_models() if m.__module__.split(".")[0] in house.local_apps()]


def test_every_app_has_a_floor() -> None:
    assert not set(house.local_apps()) - set(house.floors())


def test_the_linter_sees_every_package() -> None:
    linted = house.configuration()["tool"]["importlinter"]["root_packages"]

    assert sorted(linted) == sorted(house.packages())


def test_every_domain_app_has_closed_rooms() -> None:
    assert sorted(house.contract("rooms")["containers"]) == sorted(house.domain_apps())


def test_the_agent_loop_is_shielded_from_every_other_app() -> None:
    banned = set(house.contract("pure-runtime")["forbidden_modules"])

    assert not set(house.local_apps()) - {"agents", "kernel"} - banned


def test_every_app_is_installed() -> None:
    installed = {config.name for config in apps.get_app_configs()}

    assert not set(house.local_apps()) - installed


def test_foreign_keys_point_down() -> None:
    floors = house.floors()

    upward = [
        f"{model.__module__}.{model.__name__}.{field.name} -> {field.related_model.__name__}"
        for model in local_models()
        for field in model._meta.get_fields()
        if field.is_relation
        and field.concrete
        and field.related_model
        and field.related_model.__module__.split(".")[0] in floors
        and floors[model.__module__.split(".")[0]]
        < floors[field.related_model.__module__.split(".")[0]]
    ]

    assert not upward


@pytest.fixture(scope="module")
def graph() -> grimp.ImportGraph:
    return grimp.build_graph(*house.local_apps(), cache_dir=None)


def test_apps_are_entered_through_five_doors(graph: grimp.ImportGraph) -> None:
    """Kernel is a library and open; hub composes and may enter where Django makes it."""
    around = [
        f"{importer} -> {imported}"
        for imported in sorted(graph.modules)
        if imported.split(".")[0] in house.domain_apps()
        and [*imported.split("."), ""][1] not in DOORS
        for importer in sorted(graph.find_modules_that_directly_import(imported))
        if importer.split(".")[0] not in {imported.split(".")[0], "hub"}
        and imported not in OTHER_DOORS
    ]

    assert not around


def test_other_doors_are_still_used(graph: grimp.ImportGraph) -> None:
    entered = {
        door
        for door in OTHER_DOORS
        for importer in graph.find_modules_that_directly_import(door)
        if importer.split(".")[0] != door.split(".")[0]
    }

    assert entered == set(OTHER_DOORS)
