"""Who is let in: one decision for collector and serving, from the credentials of a request to the record of its key."""

import datetime as dt
import time
from collections.abc import Callable
from dataclasses import dataclass

from clapometer.domain import ClapometerError
from clapometer.gate.keys import ApiKey, KeyRing
from clapometer.gate.rates import Limited, Rates
from clapometer.gate.signatures import SignatureError, Signatures, SignedRequest

HOW = "send one as `Authorization: Bearer <key>` or `X-Api-Key`"


class DeniedError(ClapometerError):
    """A request is not let in.

    Attributes:
        status: HTTP status.
        retry_after: Seconds after which it may be; 0 where time changes nothing.
        limited: The rate that it exceeds, if so.
    """

    def __init__(self, status: int, detail: str, retry_after: float = 0, limited: Limited | None = None) -> None:
        super().__init__(detail)
        self.limited = limited
        self.status = status
        self.detail = detail
        self.retry_after = retry_after


@dataclass(frozen=True)
class Credentials:
    """What a request says of who sent it.

    Attributes:
        key: Key that it bears; empty where it bears none.
        signed: Set where it is signed.
    """

    key: str
    signed: SignedRequest | None = None


class Gate:
    """Lets requests in.

    Args:
        keys: Who may.
        rates: How much; no limit by default.
        signatures: Checks those that are signed.
        signed_only: Whether a secret key must sign: one that is sent is refused.
        seconds: A clock that never runs back; what is revoked or counted goes by it.
    """

    def __init__(
        self,
        keys: KeyRing,
        *,
        rates: Rates | None = None,
        signatures: Signatures | None = None,
        signed_only: bool = False,
        seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        self.keys = keys
        self._rates = rates
        self._signatures = signatures or Signatures()
        self._signed_only = signed_only
        self._seconds = seconds

    def address(self, address: str) -> None:
        """Counts a request of an address.

        Raises:
            DeniedError: 429, it sends more requests than it may.
        """
        if self._rates is None:
            return
        wait = self._rates.wait("address", address)
        if wait > 0:
            msg = "this address sends more requests than it may; slow down"
            raise DeniedError(429, msg, wait)
        self._rates.charge("address", address)

    def admit(self, credentials: Credentials, now: dt.datetime) -> ApiKey:
        """Returns the record of the key that a request bears or is signed with, and counts the request.

        Raises:
            DeniedError: 400 for a request that does both, 401 without a key that holds, 429 where it sends too much.
        """
        self.keys.reload(self._seconds())
        record = self._sent(credentials.key, now) if credentials.signed is None else self._signer(credentials, now)
        if self._rates is not None:
            self._pass(record, 1)
            self._rates.charge(record.kind, record.id)
        return record

    def admit_body(self, record: ApiKey) -> None:
        """Lets in the body of a request that was counted: others may have been charged while it came.

        Raises:
            DeniedError: 429, the key sends too much.
        """
        self._pass(record, 0)

    def _pass(self, record: ApiKey, amount: int) -> None:
        if self._rates is not None and (wait := self._rates.wait(record.kind, record.id, amount)) > 0:
            msg = "this key sends more than it may; slow down"
            raise DeniedError(429, msg, wait)

    def page(self, record: ApiKey, origin: str | None) -> None:
        """Lets in a page of an origin; what is no page names none.

        Raises:
            DeniedError: 403, the key is for other pages.
        """
        if origin is not None and record.origins and origin not in record.origins:
            msg = "this key is not for pages of this origin; `clapometer keys edit` changes its origins"
            raise DeniedError(403, msg)

    def slate(self, record: ApiKey, viewer: str, address: str) -> None:
        """Counts a slate: for its viewer, and of its address where a page asks, for a server has one for all viewers.

        Raises:
            DeniedError: 429, the viewer or the address asks for more slates than it may.
        """
        if self._rates is None:
            return
        names: dict[Limited, str] = {"slates_viewer": f"{len(record.tenant)} {record.tenant} {viewer}"}
        if record.kind == "publishable":
            names["slates_address"] = address
        for what, name in names.items():
            if (wait := self._rates.wait(what, name)) > 0:
                msg = f"more slates for this {what.removeprefix('slates_')} than there may be; slow down"
                raise DeniedError(429, msg, wait, what)
        for what, name in names.items():
            self._rates.charge(what, name)

    def charge(self, record: ApiKey, amount: int) -> None:
        """Counts more of a request that was let in: its events beyond the first."""
        if self._rates is not None and amount > 0:
            self._rates.charge(record.kind, record.id, amount)

    def _sent(self, key: str, now: dt.datetime) -> ApiKey:
        record = self.keys.find(key, now)
        if record is None:
            msg = f"the API key is missing, unknown or expired; {HOW}"
            raise DeniedError(401, msg)
        if record.signing is not None:
            msg = "this key signs requests (RFC 9421) and must never be sent: replace it, it is known now"
            raise DeniedError(401, msg)
        if self._signed_only and record.kind == "secret":
            msg = "here secret keys sign requests (RFC 9421): make one with `clapometer keys new --kind secret --signs`"
            raise DeniedError(401, msg)
        return record

    def _signer(self, credentials: Credentials, now: dt.datetime) -> ApiKey:
        assert credentials.signed is not None
        if credentials.key:
            msg = "the request bears a key and a signature; send one of them"
            raise DeniedError(400, msg)
        try:
            key_id = self._signatures.key_id(credentials.signed, lambda key_id: self._secret(key_id, now))
        except SignatureError as error:
            msg = f"the signature does not hold: {error}"
            raise DeniedError(401, msg) from error
        record = self.keys.signer(key_id, now)
        assert record is not None  # its secret was just used
        return record

    def _secret(self, key_id: str, now: dt.datetime) -> bytes | None:
        record = self.keys.signer(key_id, now)
        return None if record is None or record.signing is None else bytes.fromhex(record.signing)
