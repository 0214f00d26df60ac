"""unfold's settings: the console's name, its assets, and the menu by permissions."""

from collections.abc import Callable
from typing import Any, Final

from django.http import HttpRequest
from django.templatetags.static import static
from django.urls import reverse_lazy


def _page(title: str, icon: str, page: str, permission: str) -> dict[str, Any]:
    """A menu entry for those who hold the page's permission."""
    return {
        "title": title,
        "icon": icon,
        "link": reverse_lazy(f"admin:{page}_changelist"),
        "permission": _holders_of(permission),
    }


def _place(title: str, icon: str, name: str, permission: str, *arguments: str) -> dict[str, Any]:
    """The same for a page that is no list."""
    return {
        "title": title,
        "icon": icon,
        "link": reverse_lazy(f"admin:{name}", args=arguments),
        "permission": _holders_of(permission),
    }


def _holders_of(permission: str) -> Callable[[HttpRequest], bool]:
    def may(request: HttpRequest) -> bool:
        return request.user.has_perm(permission)

    return may


def _is_in_settings(request: HttpRequest) -> bool:
    """The security policy is below the same address, and has an entry of its own."""
    path = request.path
    own = str(reverse_lazy("admin:settings", args=["security"]))
    return path.startswith(str(reverse_lazy("admin:all_settings"))) and not path.startswith(own)


def _asset(name: str) -> Callable[[HttpRequest], str]:
    def address(_: HttpRequest) -> str:
        return static(name)

    return address


MENU: Final[list[dict[str, Any]]] = [
    {
        "title": "Work",
        "items": [
            {"title": "Overview", "icon": "dashboard", "link": reverse_lazy("admin:index")},
            _page("Tasks", "task_alt", "tasks_task", "task.read"),
            _page("Agents", "smart_toy", "agents_agent", "agent.read"),
            _page("Overrides", "tune", "agents_agentoverride", "agent.read"),
            _page("Executions", "play_circle", "agents_agentexecution", "execution.read"),
            _page("Approvals", "approval", "approvals_approval", "approval.read"),
            _page("Knowledge", "menu_book", "knowledge_knowledgeentry", "knowledge.read"),
            _page("Memory", "psychology", "memory_memory", "memory.read"),
            _page("Projects", "folder_open", "projects_project", "tenancy.read"),
            _page("Environments", "dns", "projects_environment", "tenancy.read"),
        ],
    },
    {
        "title": "Operations",
        "separator": True,
        "items": [
            _place("Costs", "pie_chart", "costs", "cost.read"),
            _page("Usage", "payments", "cost_usagerecord", "cost.read"),
            _page("Budgets", "savings", "cost_budget", "cost.read"),
            _page("Model prices", "sell", "cost_modelprice", "cost.read"),
            _page("Audit", "verified_user", "audit_auditevent", "audit.read"),
            _page("Audit checkpoints", "signature", "audit_auditcheckpoint", "audit.read"),
            _place("Audit export", "download", "audit_export", "audit.export"),
            _page("Approval rules", "rule", "approvals_approvalrule", "approval.read"),
            _page("Tools", "construction", "tools_catalogtool", "tool.read"),
            _page("Tool sources", "extension", "tools_toolsource", "settings.edit"),
            _page("Secrets", "password", "secrets_vault_secret", "secret.read"),
            _page("Circuit breakers", "electric_bolt", "breakers_circuitbreaker", "settings.edit"),
            _page("Limits", "speed", "limits_limitrule", "settings.edit"),
            _page("Dead letters", "mail_off", "dead_letters_deadletter", "settings.edit"),
            _page("Events", "bolt", "events_outboxevent", "event.read"),
        ],
    },
    {
        "title": "People",
        "separator": True,
        "items": [
            _page("Users", "group", "accounts_user", "user_role.edit"),
            _page("Roles", "shield_person", "accounts_role", "role.read"),
            _page("Role assignments", "assignment_ind", "accounts_roleassignment", "role.read"),
            _page("Sessions", "devices", "accounts_session", "security.edit"),
            _page("API keys", "vpn_key", "accounts_apikey", "security.edit"),
            _page("Agent keys", "key", "accounts_agentkey", "security.edit"),
            _page("Organization", "domain", "accounts_organization", "user_role.edit"),
        ],
    },
    {
        "title": "Hub",
        "separator": True,
        "items": [
            _place("Settings", "settings", "all_settings", "settings.edit")
            | {"active": _is_in_settings},
            _place("Security policy", "policy", "settings", "security.edit", "security"),
            _place("IP rules", "lan", "ip_rules", "security.edit"),
            _place("Health", "monitor_heart", "health", "settings.edit"),
        ],
    },
    {
        "title": "Reference",
        "separator": True,
        "items": [
            {"title": "API", "icon": "api", "link": reverse_lazy("swagger")},
            {"title": "API schema", "icon": "schema", "link": reverse_lazy("schema")},
        ],
    },
]
UNFOLD: Final[dict[str, Any]] = {
    "SITE_TITLE": "Agent Hub",
    "SITE_HEADER": "Agent Hub",
    "SITE_SYMBOL": "hub",
    "SITE_URL": None,
    "SITE_FAVICONS": [
        {"rel": "icon", "type": "image/svg+xml", "href": _asset("hub/favicon.svg")},
    ],
    "STYLES": [_asset("hub/console.css")],
    "SCRIPTS": [_asset("hub/console.js")],
    "SHOW_HISTORY": False,
    "SHOW_VIEW_ON_SITE": False,
    "SIDEBAR": {"navigation": MENU},
    # Else unfold offers its own form for passwords, which would write past operations and audit.
    "ACCOUNT": {
        "navigation": [
            {"title": "Account", "link": reverse_lazy("admin:account")},
            {"title": "API", "link": reverse_lazy("swagger")},
        ]
    },
}
