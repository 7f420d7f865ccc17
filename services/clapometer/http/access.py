"""Who may read what: a secret key reads its tenant, nobody's requests read the public tenant, if there is one."""

import base64
import binascii
import datetime as dt
from collections import Counter
from collections.abc import Callable

from fastapi import Request

from clapometer.gate import ApiKey, Credentials, DeniedError, Gate, SignedRequest
from clapometer.http.problems import RefusedError

_CHALLENGE = 'Bearer realm="clapometer", Basic realm="clapometer"'
_ONCE = ("authorization", "clapometer-voucher", "x-api-key", "signature", "signature-input", "content-digest")


def quoted_key(request: Request) -> str | None:
    """Returns the key that a request quotes.

    It stands in ``Authorization: Bearer``, in ``X-Api-Key``, or is the password of ``Authorization: Basic``, which
    is what a browser asks its user for.
    """
    if (plain := request.headers.get("x-api-key")) is not None:
        return plain
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return value.strip()
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(value, validate=True).decode().partition(":")[2]
        except (binascii.Error, UnicodeError):
            return ""
    return None


def signed_request(request: Request) -> SignedRequest | None:
    """Returns what the signature of a request covers; ``None`` where it bears none."""
    if "signature" not in request.headers and "signature-input" not in request.headers:
        return None
    path = request.scope.get("raw_path") or request.url.path.encode()
    query = b"?" + request.scope["query_string"] if request.scope["query_string"] else b""
    url = "http://signed.invalid" + (path + query).decode("latin-1")  # host and scheme are not covered
    return SignedRequest(request.method, url, dict(request.headers))


def bears_key(request: Request) -> bool:
    """Returns whether a request bears a key, or a signature made with one; `Access` says whether it holds."""
    return quoted_key(request) is not None or signed_request(request) is not None


class Access:
    """Decides for each request whose rankings it reads.

    Args:
        gate: Knows keys, signatures and rates.
        public_tenant: Whose rankings need no key; ``None`` where all do.
        clock: Returns the time in UTC.
        limited: Told of each slate that is refused, whether for its viewer or its address.
    """

    def __init__(
        self,
        gate: Gate,
        public_tenant: str | None,
        clock: Callable[[], dt.datetime],
        limited: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._limited = limited
        self._gate = gate
        self._public_tenant = public_tenant
        self._clock = clock

    def reader(self, request: Request) -> str:
        """Returns the tenant whose rankings the request may read.

        Raises:
            RefusedError: 401 without a key where one is needed, or with one that does not hold; 403 with one that
                may be published; 429 where key or address have asked too much.
        """
        if self._public_tenant is None or bears_key(request):
            return self.secret(request).tenant
        try:
            self._gate.address(_address(request))
        except DeniedError as denied:
            raise _refusal(denied) from denied
        return self._public_tenant

    def secret(self, request: Request) -> ApiKey:
        """Returns the secret key that the request quotes, or is signed with.

        Raises:
            RefusedError: 400 for a header that is there twice, 401 without a key or with one that does not hold, 403
                with one that may be published, 429 where key or address have asked too much.
        """
        key = self.asker(request)
        if key.kind != "secret":
            msg = "a publishable key only sends events and asks for slates; ask from a server with a secret key"
            raise RefusedError(403, msg)
        return key

    def asker(self, request: Request) -> ApiKey:
        """Returns the key that the request quotes, or is signed with; a publishable one from a page that may have it.

        Raises:
            RefusedError: As `secret` does, and 403 where the key is for other pages.
        """
        quoted, signed = quoted_key(request), signed_request(request)
        _refuse_repeated(request)
        try:
            self._gate.address(_address(request))
            if quoted is None and signed is None:
                msg = "send a secret key: Authorization: Bearer <key>"
                raise DeniedError(401, msg)
            key = self._gate.admit(Credentials(quoted or "", signed), self._clock())
            if key.kind == "publishable":
                self._gate.page(key, request.headers.get("origin"))
        except DeniedError as denied:
            raise _refusal(denied) from denied
        return key

    def slate(self, request: Request, key: ApiKey, viewer_id: str) -> None:
        """Counts a slate for a viewer.

        Raises:
            RefusedError: 429 where there were too many for the viewer, or for pages at this address.
        """
        try:
            self._gate.slate(key, viewer_id, _address(request))
        except DeniedError as denied:
            if denied.limited is not None:
                self._limited(denied.limited.removeprefix("slates_"))
            raise _refusal(denied) from denied


def _address(request: Request) -> str:
    return "" if request.client is None else request.client.host


def _refuse_repeated(request: Request) -> None:
    names = Counter(name for name, _ in request.headers.items() if name in _ONCE)
    repeated = [name for name, count in names.items() if count > 1]
    if repeated:
        msg = f"header {repeated[0]} is there more than once; send it once"
        raise RefusedError(400, msg)


def _refusal(denied: DeniedError) -> RefusedError:
    headers = {"WWW-Authenticate": _CHALLENGE} if denied.status == 401 else {}
    if denied.retry_after:
        headers["Retry-After"] = str(max(1, round(denied.retry_after + 0.5)))
    return RefusedError(denied.status, denied.detail, headers)
