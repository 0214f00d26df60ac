"""A real OpenID provider: django-oauth-toolkit in a process of its own, with SQLite.

Arguments: a folder for its database and what it says of people, the client's secret, and its
redirect address. Prints the port on which it listens. Each of PEOPLE has the password PASSWORD.
"""

import json
import sys
from pathlib import Path
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

import django
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from django.conf import settings

from tests.peers.oidc_provider import CLIENT_ID, PASSWORD, PEOPLE


class Server(ThreadingMixIn, WSGIServer):
    """One thread for each call."""

    daemon_threads = True


class Quiet(WSGIRequestHandler):
    """Without a line for each call."""

    def log_message(self, *arguments: object) -> None:
        """Nothing."""


def signing_key() -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def configure(folder: Path, port: int) -> None:
    settings.configure(
        SECRET_KEY="a provider that lives as long as a test",
        ALLOWED_HOSTS=["127.0.0.1"],
        ROOT_URLCONF="tests.peers.oidc_provider.site",
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        USE_TZ=True,
        INSTALLED_APPS=[
            "django.contrib.auth",
            "django.contrib.contenttypes",
            "django.contrib.sessions",
            "oauth2_provider",
        ],
        MIDDLEWARE=[
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.contrib.auth.middleware.AuthenticationMiddleware",
        ],
        TEMPLATES=[
            {
                "BACKEND": "django.template.backends.django.DjangoTemplates",
                "APP_DIRS": True,
                "OPTIONS": {
                    "context_processors": ["django.template.context_processors.request"],
                },
            }
        ],
        DATABASES={
            "default": {
                "ENGINE": "django.db.backends.sqlite3",
                "NAME": folder / "provider.sqlite3",
                "OPTIONS": {"timeout": 20},
            }
        },
        PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
        # Beside the hub on one host: cookies know no ports.
        SESSION_COOKIE_NAME="provider-session",
        CSRF_COOKIE_NAME="provider-csrf",
        LOGIN_URL="/login/",
        OAUTH2_PROVIDER={
            "OIDC_ENABLED": True,
            "OIDC_RSA_PRIVATE_KEY": signing_key(),
            "OIDC_ISS_ENDPOINT": f"http://127.0.0.1:{port}/o",
            "PKCE_REQUIRED": True,
            "OAUTH2_VALIDATOR_CLASS": "tests.peers.oidc_provider.site.Validator",
            "SCOPES": {"openid": "Who", "email": "Address", "profile": "Name"},
            "ALLOWED_REDIRECT_URI_SCHEMES": ["http", "https"],
        },
        PROVIDER_FOLDER=folder,
    )
    django.setup()


def fill(secret: str, redirect_uri: str) -> None:
    from django.contrib.auth.models import User  # noqa: PLC0415 - Django is set up by now
    from django.core.management import call_command  # noqa: PLC0415 - Django is set up by now
    from oauth2_provider.models import Application  # noqa: PLC0415 - Django is set up by now

    call_command("migrate", verbosity=0)
    for name, claims in PEOPLE.items():
        User.objects.create_user(name, claims["email"], PASSWORD)
    Application.objects.create(
        name="Agent Hub",
        client_id=CLIENT_ID,
        client_secret=secret,
        client_type="confidential",
        authorization_grant_type="authorization-code",
        redirect_uris=f"{redirect_uri} http://127.0.0.1/callback",
        algorithm="RS256",
        skip_authorization=True,
    )


def main() -> None:
    folder, secret, redirect_uri = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
    server = Server(("127.0.0.1", 0), Quiet)
    configure(folder, server.server_port)
    fill(secret, redirect_uri)
    from django.core.wsgi import get_wsgi_application  # noqa: PLC0415 - Django is set up by now

    server.set_app(get_wsgi_application())
    print(json.dumps({"port": server.server_port}), flush=True)
    server.serve_forever()


main()
