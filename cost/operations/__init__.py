"""Verbs of cost, by what they are about."""

from cost.operations.ledger import record_usage

__all__ = ["record_usage"]
