"""Verbs of tasks: what people ask for, and the way of a task through a worker."""
