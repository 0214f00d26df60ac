"""Permissions of apps that are not built yet: their keys exist already (contract decisions 11)."""

from typing import Final

from kernel.permissions import Permission

FORETOLD: Final = (
    Permission("agent.mint", "Agents", "Mint the credential of a remote agent."),
    Permission("agent.revoke", "Agents", "Revoke a remote agent."),
    Permission("agent.list", "Agents", "List remote agents.", reads=True),
    Permission("workflow.edit", "Workflows", "Make, change and delete workflows."),
    Permission("policy.edit", "Workflows", "Decide which workflow an access request takes."),
    Permission("secret.request", "Secrets", "Ask for access to a secret."),
    Permission("secret.approve", "Secrets", "Approve or reject access requests."),
    Permission("secret.list", "Observability", "See the metadata of secrets.", reads=True),
    Permission("integration.edit", "Integrations", "Connect and disconnect outside systems."),
    Permission("data_plane.run", "Data plane", "Call the data plane for the organization."),
)
