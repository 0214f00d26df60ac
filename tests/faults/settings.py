"""The hub's settings and one more app, whose tool leaves a trace that can be counted."""

from hub.settings import *  # noqa: F403 - the hub's settings, whatever they are
from hub.settings import INSTALLED_APPS

INSTALLED_APPS = [*INSTALLED_APPS, "tests.faults.effects.apps.EffectsConfig"]
