"""What the composition root adds to the catalogues: permissions and settings."""

from typing import Final

from kernel.permissions import Permission
from preferences.choices import Setting

# Of apps that are not built yet: their keys exist already (contract decisions 11).
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
SMTP_SECURITY: Final = ("starttls", "tls", "none")
SETTINGS: Final = (
    Setting(
        key="general.announcement",
        kind="string",
        default="",
        description="What everybody reads at the top of the console's front page.",
    ),
    Setting(
        key="email.smtp_host",
        kind="string",
        default="",
        description="The organization's own mail server; empty: the hub's, if it has one.",
    ),
    Setting(
        key="email.smtp_port",
        kind="integer",
        default=587,
        minimum=1,
        maximum=65535,
        description="Its port.",
    ),
    Setting(
        key="email.smtp_security",
        kind="string",
        default="starttls",
        choices=SMTP_SECURITY,
        description="How the connection is encrypted.",
    ),
    Setting(
        key="email.smtp_username", kind="string", default="", description="Its user, if it asks."
    ),
    Setting(
        key="email.smtp_password",
        kind="string",
        default="",
        secret=True,
        bound_to=("email.smtp_host", "email.smtp_port", "email.smtp_security"),
        description="The user's password.",
    ),
)
