"""Verbs of sso: begin a login, finish it, say who it is and what they hold."""
