"""An app for fault tests: a tool with an effect outside of the hub."""
