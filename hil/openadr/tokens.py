"""OAuth 2 client credentials as a VTN's own token endpoint gives them (RFC 6749 section 4.4)."""

import base64
import binascii
import secrets
from collections.abc import Callable, Mapping

from hil.openadr.events import Body
from hil.openadr.objects import ProblemError

SCOPE = "read_targets read_ven_objects write_reports write_vens"
NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache"}


class Tokens:
    """Bearer tokens that live `lifetime_s` of the shared clock; `clients` are the secrets by client id."""

    def __init__(self, now_ms: Callable[[], int], clients: Mapping[str, str], lifetime_s: int = 3600) -> None:
        self.lifetime_s = lifetime_s
        self._now_ms = now_ms
        self._clients = clients
        self._issued: dict[str, tuple[str, int]] = {}

    def grant(self, form: Mapping[str, object], authorization: str | None) -> Body:
        """Give a token for a form, or for HTTP Basic beside it; ProblemError 400 or 401 otherwise."""
        if form.get("grant_type") != "client_credentials":
            raise _refusal(400, "unsupported_grant_type", "grant_type must be client_credentials")
        client_id, secret = _basic(authorization) or (form.get("client_id"), form.get("client_secret"))
        if not client_id or not secret:
            raise _refusal(400, "invalid_request", "client_id and client_secret are required")
        known = self._clients.get(str(client_id))
        if known is None or not secrets.compare_digest(known.encode(), str(secret).encode()):
            raise _refusal(401, "invalid_client", "client_id or client_secret is wrong")
        token = secrets.token_urlsafe(24)
        self._issued[token] = (str(client_id), self._now_ms() + 1000 * self.lifetime_s)
        return {"access_token": token, "token_type": "Bearer", "expires_in": self.lifetime_s, "scope": SCOPE}

    def client_of(self, authorization: str | None) -> str:
        """Whose token a request bears; ProblemError 401 when it has none or it is over."""
        scheme, _, token = (authorization or "").partition(" ")
        client_id, until_ms = self._issued.get(token.strip(), ("", 0))
        if scheme.lower() == "bearer" and client_id and self._now_ms() < until_ms:
            return client_id
        told = {"WWW-Authenticate": 'Bearer error="invalid_token"'} if token else {"WWW-Authenticate": "Bearer"}
        raise ProblemError(401, "Unauthorized", "get a token at /auth/token and send it as Bearer", told)

    def revoke(self) -> None:
        """No token that was given is good any more."""
        self._issued.clear()


def _basic(authorization: str | None) -> tuple[str, str] | None:
    scheme, _, coded = (authorization or "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        client_id, _, secret = base64.b64decode(coded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError) as fault:
        raise _refusal(400, "invalid_request", "Authorization is not readable as Basic") from fault
    return client_id, secret


def _refusal(status: int, error: str, why: str) -> ProblemError:
    """Problem and RFC 6749 section 5.2 in one: the schema defines authError but answers with problem."""
    headers = NO_STORE | ({"WWW-Authenticate": "Basic"} if status == 401 else {})
    refusal = ProblemError(status, "Unauthorized" if status == 401 else "Bad Request", why, headers)
    refusal.body |= {"error": error, "error_description": why}
    return refusal
