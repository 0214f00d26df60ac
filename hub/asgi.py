"""The ASGI application as servers import it: the front, with Django behind it."""

import gc
import os

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "hub.settings")
django.setup()

from hub.front.app import create_app  # noqa: E402 - it imports models, which need the line above

app = create_app()
# What is there now stays to the end: no collection needs to look at it again.
gc.collect()
gc.freeze()
# An event to a thousand sockets makes some thousand objects that live for a moment. With Python's
# thresholds, made for scripts, they alone started a full collection every two seconds.
gc.set_threshold(10_000, 10, 10)
