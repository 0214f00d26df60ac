"""JSON Schemas are checked in one place, which fetches nothing and knows what a check costs."""

import ast

from tests.architecture import house

PLACE = "kernel/json_validation.py"


def _imported(node: ast.AST) -> str:
    if isinstance(node, ast.Import):
        return node.names[0].name
    return (node.module or "") if isinstance(node, ast.ImportFrom) else ""


def test_one_module_knows_the_library() -> None:
    users = {
        str(path)
        for path in house.sources()
        for node in ast.walk(house.tree(path))
        if _imported(node).partition(".")[0] in {"jsonschema", "referencing"}
    }

    assert users == {PLACE}


def test_every_validator_has_a_registry_of_its_own() -> None:
    (path,) = [path for path in house.sources() if str(path) == PLACE]
    made = [
        {keyword.arg for keyword in node.keywords}
        for node in ast.walk(house.tree(path))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id.endswith("Validator")
    ]

    assert made
    assert all("registry" in keywords for keywords in made)
