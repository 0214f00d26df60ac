"""Django settings, all of them. Reads only `hub.env`; see `docs/configuration.md`."""

from datetime import timedelta
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from django.urls import reverse_lazy

from hub.console import navigation
from hub.env import env
from kernel import logs

BASE_DIR = Path(__file__).resolve().parent.parent
VERSION = "0.1.0"

# --- What this is ---------------------------------------------------------------------------
SECRET_KEY = env.secret_key
DEBUG = False
# Loopback always: `up`, probes and people on the machine itself come that way.
ALLOWED_HOSTS = ["localhost", "127.0.0.1", "[::1]", *env.allowed_hosts]
ROOT_URLCONF = "hub.urls"
WSGI_APPLICATION = "hub.wsgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
APPEND_SLASH = False  # collections answer with and without the slash; a redirect loses a POST
DATA_UPLOAD_MAX_MEMORY_SIZE = 10 * 1024 * 1024
USE_TZ = True
TIME_ZONE = "UTC"
LANGUAGE_CODE = "en"
USE_I18N = False

LOCAL_APPS = [
    "kernel",
    "audit",
    "preferences",
    "accounts",
    "events",
    "knowledge",
    "projects",
    "secrets_vault",
    "sso",
    "approvals",
    "breakers",
    "cost",
    "limits",
    "tools",
    "agents",
    "memory",
    "tasks",
    "dead_letters",
    "runs",
    "hub",
]
INSTALLED_APPS = [
    "unfold.apps.BasicAppConfig",  # the default one would replace our site
    "hub.console.apps.ConsoleConfig",
    *LOCAL_APPS,  # before auth: its commands that would go round the operations are ours
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "django_prometheus",
    "django_linear_migrations",
    "rest_framework",
    "django_filters",
    "drf_spectacular",
    "drf_spectacular_sidecar",
]
MIDDLEWARE = [
    "django_prometheus.middleware.PrometheusBeforeMiddleware",
    "kernel.http.middleware.RequestContext",
    "kernel.http.limits.RateLimits",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "hub.console.browsers.Browsers",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_prometheus.middleware.PrometheusAfterMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
            "libraries": {"console": "hub.console.formats"},
        },
    }
]


# --- State ----------------------------------------------------------------------------------
def database(url: str) -> dict[str, object]:
    """Django's connection settings for `url`."""
    parts = urlsplit(url or "postgresql://hub@127.0.0.1:5432/hub")
    query = dict(parse_qsl(parts.query))
    return {
        "ENGINE": "kernel.postgres",
        "NAME": unquote(parts.path.lstrip("/")) or "hub",
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": query.pop("host", None) or parts.hostname or "",
        "PORT": query.pop("port", None) or parts.port or "",
        "CONN_MAX_AGE": 60,
        "CONN_HEALTH_CHECKS": True,
        # A server-side cursor outlives its statement and so the statement's scope.
        "DISABLE_SERVER_SIDE_CURSORS": True,
        "OPTIONS": {
            "connect_timeout": 5,
            "tcp_user_timeout": 15_000,
            # A forgotten transaction keeps dead rows alive in every queue table. One of a frozen
            # process or a vanished host keeps its locks too, and holds up who takes its tasks over.
            "options": "-c idle_in_transaction_session_timeout=10s -c statement_timeout=60s"
            " -c lock_timeout=20s",
            **query,
        },
    }


DATABASES = {"default": database(env.database_url)}
REDIS_URL = env.redis_url or "redis://127.0.0.1:6379/0"
STATIC_URL = "/static/"
WHITENOISE_USE_FINDERS = True  # the wheels carry the assets: nothing to collect on a fresh clone
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.InMemoryStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}

# --- People ---------------------------------------------------------------------------------
AUTH_USER_MODEL = "accounts.User"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.Argon2PasswordHasher"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "accounts.operations.passwords.PolicyValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = reverse_lazy("admin:login")
LOGIN_REDIRECT_URL = reverse_lazy("admin:index")
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_AGE = 12 * 3600
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = env.public_url.startswith("https://")
if SESSION_COOKIE_SECURE:
    # Browsers let no other host and no path set cookies of these names.
    SESSION_COOKIE_NAME, CSRF_COOKIE_NAME = "__Host-sessionid", "__Host-csrftoken"
CSRF_FAILURE_VIEW = "hub.console.refusals.csrf_failure"
CSRF_TRUSTED_ORIGINS = [env.public_url]
SECURE_REFERRER_POLICY = "same-origin"
SECURE_PROXY_SSL_HEADER = (
    ("HTTP_X_FORWARDED_PROTO", "https") if env.public_url.startswith("https://") else None
)
X_FRAME_OPTIONS = "DENY"
SIMPLE_JWT = {
    "ACCESS_TOKEN_LIFETIME": timedelta(minutes=30),
    "REFRESH_TOKEN_LIFETIME": timedelta(days=7),
    "ISSUER": "agent-hub",
    "AUDIENCE": "agent-hub",
    "ALGORITHM": "HS256",
    "SIGNING_KEY": env.secret_key,
    "TOKEN_TYPE_CLAIM": "type",
    "USER_ID_CLAIM": "sub",
    "UPDATE_LAST_LOGIN": False,
}

# --- The API --------------------------------------------------------------------------------
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["accounts.permissions.SessionTokenAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["accounts.permissions.NamedPermission"],
    "DEFAULT_RENDERER_CLASSES": ["kernel.http.json.OrjsonRenderer"],
    "DEFAULT_PARSER_CLASSES": ["kernel.http.json.OrjsonParser"],
    "DEFAULT_PAGINATION_CLASS": "kernel.http.pagination.BoundedPagination",
    "DEFAULT_FILTER_BACKENDS": ["kernel.http.filtering.NamedFilters"],
    "DEFAULT_SCHEMA_CLASS": "kernel.http.schema.HubSchema",
    "EXCEPTION_HANDLER": "kernel.http.problems.handle",
    "UNAUTHENTICATED_USER": None,
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Agent Hub",
    "DESCRIPTION": "Self-hosted control plane for AI agents.",
    "VERSION": VERSION,
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PUBLIC": True,
    "SERVE_AUTHENTICATION": [],
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
    "COMPONENT_SPLIT_REQUEST": True,
    "ENUM_ADD_EXPLICIT_BLANK_NULL_CHOICE": False,
    "ENUM_NAME_OVERRIDES": {
        "AgentKind": "agents.choices.AgentKind",
        "AgentStatus": "agents.choices.AgentStatus",
        "AgentType": "agents.choices.AgentType",
        "PublishedSource": "agents.choices.PublishedSource",
        "PublishedStatus": "agents.choices.PublishedStatus",
        "ResponseFormat": "agents.choices.ResponseFormat",
        "HostedKind": ["hosted"],
        "AutonomyLevel": "agents.choices.AutonomyLevel",
        "TaskStatus": "tasks.choices.TaskStatus",
        "TaskPriority": "tasks.choices.TaskPriority",
        "AttemptOutcome": "tasks.choices.AttemptOutcome",
        "ReasonCode": "tasks.choices.ReasonCode",
        "RunStatus": "runs.choices.RunStatus",
        "ExecutionSource": "agents.choices.ExecutionSource",
        "ReplayTools": "agents.choices.ReplayTools",
        "ExecutionStatus": "agents.choices.ExecutionStatus",
        "StepKind": "agents.choices.StepKind",
        "StepStatus": "agents.choices.StepStatus",
        "IpAction": "accounts.choices.IpAction",
        "SessionKind": "accounts.choices.SessionKind",
        "AuditStatus": "audit.choices.AuditStatus",
        "ChainFault": "audit.choices.FAULTS",
        "HealthState": "hub.health_view.STATES",
        "BreakerState": "breakers.choices.BreakerState",
        "LimitScope": "limits.choices.LimitScope",
        "BudgetScope": "cost.choices.BudgetScope",
        "BudgetSource": "cost.choices.BudgetSource",
        "BudgetPeriod": "cost.choices.BudgetPeriod",
        "ApprovalStatus": "approvals.choices.ApprovalStatus",
        "ApprovalDecision": "approvals.choices.Decision",
        "MemoryCategory": "memory.choices.MemoryCategory",
        "LetterStatus": "dead_letters.choices.LetterStatus",
        "EnvironmentType": "projects.choices.EnvironmentType",
        "ProjectStatus": "projects.choices.ProjectStatus",
        "SideEffect": "tools.choices.SideEffect",
        "ToolSourceKind": "tools.choices.SourceKind",
        "SettingType": "preferences.choices.KINDS",
    },
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "hub.health_schema.describe_probes",
        "hub.front.schema.describe_streams",
        "kernel.http.schema.describe_components",
    ],
    "SCHEMA_PATH_PREFIX": r"/api/v[0-9]",
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
}

# --- Workers --------------------------------------------------------------------------------
CELERY_BROKER_URL = REDIS_URL
CELERY_RESULT_BACKEND = None
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True  # jobs only ring doorbells or sweep: running one twice is harmless
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_TASK_DEFAULT_QUEUE = "default"
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "visibility_timeout": 300,
    "socket_keepalive": True,
    # A request whose broker is away waits for one more try, not for six seconds of them.
    "max_retries": 1,
    "interval_start": 0,
}
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_WORKER_SEND_TASK_EVENTS = False
CELERY_TASK_TIME_LIMIT = None

# --- The hub itself -------------------------------------------------------------------------
HUB_ENVIRONMENT = env.environment
HUB_DATA_DIR = env.data_dir
HUB_PUBLIC_URL = env.public_url
HUB_BIND = env.bind
HUB_PORT = env.port
HUB_OUTBOUND_ALLOW = env.outbound_allow
HUB_TRUSTED_PROXIES = env.trusted_proxies
HUB_RATE_LIMITS = env.rate_limits
HUB_METRICS_ALLOW = env.metrics_allow
HUB_METRICS_TOKEN = env.metrics_token
HUB_SMTP_URL = env.smtp_url
HUB_PROVIDERS = {"openai": env.openai, "anthropic": env.anthropic, "google": env.google}
HUB_DEFAULT_PROVIDER = env.default_provider
HUB_WORKER_RUNS = env.worker_runs
HUB_LEASE = timedelta(seconds=env.lease_seconds)
HUB_DRAIN = timedelta(seconds=env.drain_seconds)
HUB_QUERY_TOKENS = env.query_tokens
HUB_MCP_COMMANDS = env.mcp_commands
HUB_BOOTSTRAP = {
    "organization": env.organization,
    "email": env.admin_email,
    "password": env.admin_password,
    "agent_key": env.agent_key,
}

# --- Watching it ----------------------------------------------------------------------------
LOGGING = logs.configuration(level=env.log_level, style=env.log_format)
PROMETHEUS_EXPORT_MIGRATIONS = False
SILENCED_SYSTEM_CHECKS = [
    # HTTPS ends at the operator's proxy; `docs/production.md` says which headers it sets.
    "security.W004",
    "security.W008",
]

# --- Console --------------------------------------------------------------------------------
UNFOLD = navigation.UNFOLD
