"""A provider at work: mozilla-django-oidc's relying party, bound to one registration.

The library reads Django's settings, calls with `requests`, and leaves audience and issuer
to whoever uses it; docs/decisions/0012 says what of it is ours here and why.
"""

from base64 import b64encode
from typing import Any, Final
from urllib.parse import parse_qsl, quote_plus, urlencode, urlsplit, urlunsplit

import jwt
import structlog
from django.core.exceptions import SuspiciousOperation
from mozilla_django_oidc.auth import OIDCAuthenticationBackend
from mozilla_django_oidc.utils import generate_code_challenge

from sso.clients import documents
from sso.clients.claims import Claims, is_complete, understand
from sso.clients.documents import Line
from sso.errors import LoginRefused

log = structlog.get_logger(__name__)
# For clocks that differ.
LEEWAY_SECONDS: Final = 60
KEY_TYPES: Final = {"RS256": "RSA", "ES256": "EC", "EdDSA": "OKP"}
REQUIRED: Final = ["iss", "sub", "aud", "exp", "iat"]
# What audit and log call the faults of an ID token.
KINDS: Final[tuple[tuple[type[Exception], str], ...]] = (
    (jwt.ExpiredSignatureError, "expired"),
    (jwt.InvalidSignatureError, "bad_signature"),
    (jwt.InvalidAlgorithmError, "bad_algorithm"),
    (jwt.InvalidAudienceError, "wrong_audience"),
    (jwt.InvalidIssuerError, "wrong_issuer"),
)


class Provider(OIDCAuthenticationBackend):  # type: ignore[misc]  # the library ships no types
    """Raises what `line` does where the provider fails, LoginRefused where its word does."""

    def __init__(self, line: Line, *, issuer: str, client_id: str, client_secret: str) -> None:
        self._line = line
        self.metadata = line.discover(issuer)
        self._settings: dict[str, Any] = {
            "OIDC_OP_TOKEN_ENDPOINT": self.metadata.token_endpoint,
            "OIDC_OP_USER_ENDPOINT": self.metadata.userinfo_endpoint,
            "OIDC_OP_JWKS_ENDPOINT": self.metadata.jwks_uri,
            "OIDC_RP_CLIENT_ID": client_id,
            "OIDC_RP_CLIENT_SECRET": client_secret,
            # To the library: verify with a key of the provider. Which algorithm: `_verify_jws`.
            "OIDC_RP_SIGN_ALGO": "RS256",
        }
        super().__init__()

    def get_settings(self, attr: str, *args: Any) -> Any:
        """Of this registration; the library's defaults for the rest, never Django's settings."""
        return self._settings.get(attr, *args)

    def authorization_url(
        self, *, redirect_uri: str, scopes: str, state: str, nonce: str, verifier: str
    ) -> str:
        """Where the browser goes to log in (OpenID Connect Core 1.0 §3.1.2.1, RFC 7636)."""
        asked = {
            "response_type": "code",
            "client_id": self.OIDC_RP_CLIENT_ID,
            "redirect_uri": redirect_uri,
            "scope": scopes,
            "state": state,
            "nonce": nonce,
            "code_challenge": generate_code_challenge(verifier, "S256"),
            "code_challenge_method": "S256",
        }
        parts = urlsplit(self.metadata.authorization_endpoint)
        return urlunsplit(
            parts._replace(query=urlencode([*parse_qsl(parts.query), *asked.items()]))
        )

    def redeem(
        self, *, code: str, verifier: str, nonce: str, redirect_uri: str, groups_claim: str
    ) -> Claims:
        """Who the code stands for."""
        tokens = self.get_token(
            {
                "grant_type": "authorization_code",
                "code": code,
                "redirect_uri": redirect_uri,
                "code_verifier": verifier,
            }
        )
        id_token = tokens.get("id_token")
        if not isinstance(id_token, str):
            raise LoginRefused("no_id_token")
        try:
            found: dict[str, Any] = self.verify_token(id_token, nonce=nonce)
        except SuspiciousOperation:  # all else that the library raises itself is overridden here
            raise LoginRefused("wrong_nonce") from None
        more: dict[str, Any] = {}
        if self.metadata.userinfo_endpoint and not is_complete(found, groups_claim=groups_claim):
            more = self.get_userinfo(tokens.get("access_token"), id_token, found)
        return understand(found, more, groups_claim=groups_claim)

    def get_token(self, payload: dict[str, str]) -> dict[str, Any]:
        """The answer of the token endpoint (RFC 6749 §4.1.3)."""
        client_id, secret = self.OIDC_RP_CLIENT_ID, self.OIDC_RP_CLIENT_SECRET
        headers = {"content-type": "application/x-www-form-urlencoded"}
        if secret and self.metadata.takes_basic:
            pair = f"{quote_plus(client_id)}:{quote_plus(secret)}"
            headers["authorization"] = f"Basic {b64encode(pair.encode()).decode()}"
        else:
            payload = {**payload, "client_id": client_id}
            payload |= {"client_secret": secret} if secret else {}
        content = urlencode(payload).encode()
        url = self.metadata.token_endpoint
        reply = self._line.call("POST", url, headers=headers, content=content)
        if 400 <= reply.status < 500:
            log.warning("sso.provider.refused_code", url=url, status=reply.status)
            raise LoginRefused("code_refused")
        if reply.status != 200:
            raise documents.failure(url, f"status_{reply.status}")
        return documents.decode(reply)

    def get_userinfo(
        self, access_token: Any, id_token: str, payload: dict[str, Any]
    ) -> dict[str, Any]:
        """What the provider says besides of the same person (Core §5.3)."""
        if not isinstance(access_token, str) or not access_token.isascii():
            raise LoginRefused("no_access_token")
        found = self._line.read(
            self.metadata.userinfo_endpoint, headers={"authorization": f"Bearer {access_token}"}
        )
        if found.get("sub") != payload["sub"]:
            raise LoginRefused("wrong_userinfo")
        return found

    def retrieve_matching_jwk(self, token: str) -> jwt.PyJWK:
        """The key that signed; read anew once for one that we do not know (Core §10.1.1)."""
        try:
            header = jwt.get_unverified_header(token)
        except jwt.PyJWTError:
            raise LoginRefused("bad_token") from None
        algorithm = header.get("alg")
        if algorithm not in self.metadata.algorithms:
            raise LoginRefused("bad_algorithm")
        for anew in (False, True):
            keys = self._line.keys(self.metadata, anew=anew)
            if jwk := _match(keys, algorithm, header.get("kid")):
                return _key(jwk, algorithm)
        raise LoginRefused("unknown_key")

    def _verify_jws(self, payload: str, key: jwt.PyJWK) -> dict[str, Any]:
        """The claims of an ID token that is for us and of now (Core §3.1.3.7)."""
        try:
            found = jwt.decode(
                payload,
                key,
                algorithms=[key.algorithm_name],
                audience=self.OIDC_RP_CLIENT_ID,
                issuer=self.metadata.issuer,
                leeway=LEEWAY_SECONDS,
                options={"require": REQUIRED, "enforce_minimum_key_length": True},
            )
        except (jwt.PyJWTError, ValueError, TypeError, OverflowError) as error:
            kind = next((kind for fault, kind in KINDS if isinstance(error, fault)), "bad_token")
            raise LoginRefused(kind) from None
        if not _is_party(found, self.OIDC_RP_CLIENT_ID):
            raise LoginRefused("wrong_party")
        return found


def _is_party(found: dict[str, Any], client_id: str) -> bool:
    """A token for several says which of them asked for it, one for us need not."""
    audience = found["aud"]
    alone = isinstance(audience, str) or len(audience) == 1
    return bool(found.get("azp", client_id if alone else None) == client_id)


def _match(keys: list[Any], algorithm: str, kid: Any) -> dict[str, Any] | None:
    """The key of that name; without a name the only one that would do."""
    fitting = [
        jwk
        for jwk in keys
        if isinstance(jwk, dict)
        and jwk.get("kty") == KEY_TYPES[algorithm]
        and jwk.get("alg", algorithm) == algorithm
        and jwk.get("use", "sig") == "sig"
        and (kid is None or jwk.get("kid") == kid)
    ]
    return fitting[0] if len(fitting) == 1 else None


def _key(jwk: dict[str, Any], algorithm: str) -> jwt.PyJWK:
    try:
        return jwt.PyJWK(jwk, algorithm)
    except (jwt.PyJWTError, ValueError, TypeError, KeyError):
        raise LoginRefused("bad_key") from None
