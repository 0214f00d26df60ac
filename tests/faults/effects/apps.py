"""Registers the tool that leaves a trace, and breaks the process in the ways tests ask for."""

from django.apps import AppConfig


class EffectsConfig(AppConfig):
    """Not part of the hub: installed by `tests.faults.settings` alone."""

    name = "tests.faults.effects"

    def ready(self) -> None:
        """Add the tool."""
        from agents.operations import catalogue  # noqa: PLC0415 - models must be loaded first
        from tests.faults.effects import decision, relay, skew  # noqa: PLC0415 - the same
        from tests.faults.effects.tool import TOOL  # noqa: PLC0415 - the same

        catalogue.register_tools([TOOL])
        decision.install()
        relay.install()
        skew.install()
