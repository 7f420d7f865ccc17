"""Sessions that the platform vouches for: its server asks for a voucher, and the page quotes it to ask for slates."""

import datetime as dt
import uuid
from collections.abc import Callable, Mapping
from typing import Annotated

import msgspec
from fastapi import Request
from msgspec import Meta

from clapometer.domain import (
    InputError,
    Session,
    TolerantDecoder,
    candidates_digest,
    read_voucher,
    sign_session,
)
from clapometer.domain.events import Experiment, Identifier, Label
from clapometer.gate import ApiKey
from clapometer.http.bodies import decode_body
from clapometer.http.problems import RefusedError
from clapometer.serving.config import ServingConfig
from clapometer.serving.slates.slates import SlateRequest, check_candidates

VOUCHER = "clapometer-voucher"
"""Header that bears a voucher."""
NO_VOUCHER = (
    "a page asks for slates with the voucher of its session, in the header Clapometer-Voucher: the platform's server "
    "gets it from POST /v1/sessions with a secret key; or ask for the slate from there"
)


class SessionRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a platform's server vouches for.

    Attributes:
        viewer_id: Who is logged in, or whose cookie the server set; never what a page says.
        candidates: Ids of the clips that may be shown, each once: slates are made of exactly these.
        session_id: Which session of the viewer; a new one where absent.
        surface: Where they are shown; nowhere that has a name where absent.
        experiment: The arms of experiments that the viewer is in; none where absent.
    """

    viewer_id: Identifier
    candidates: Annotated[list[Identifier], Meta(min_length=1)]
    session_id: Identifier | None = None
    surface: Label | None = None
    experiment: Annotated[list[Experiment], Meta(max_length=32)] | None = None


class VouchedSession(msgspec.Struct, frozen=True, kw_only=True):
    """A session with its voucher.

    Attributes:
        voucher: For the page: it sends it as `Clapometer-Voucher` to `POST /v1/slates`, with its publishable key.
        viewer_id: As asked.
        session_id: As asked, or a new one.
        expires_at: When the voucher ends.
    """

    voucher: str
    viewer_id: str
    session_id: str
    expires_at: dt.datetime


_SAID = ("viewer_id", "session_id", "surface", "experiment")
_REQUEST = TolerantDecoder(SessionRequest)


class Sessions:
    """Vouches for sessions, and says what vouchers vouch for.

    Args:
        config: Limits.
        token_key: Returns id and secret of the key that signs now.
        token_keys: The secrets that verify, by key id.
    """

    def __init__(
        self, config: ServingConfig, token_key: Callable[[], tuple[str, bytes]], token_keys: Mapping[str, bytes]
    ) -> None:
        self._config = config
        self._token_key = token_key
        self._token_keys = token_keys

    def vouch(self, body: bytes, tenant: str, now: dt.datetime) -> VouchedSession:
        """Returns the session that a body asks for.

        Raises:
            InputError: It asks for none; names the field.
        """
        asked = decode_body(_REQUEST, body)
        check_candidates(asked.candidates, self._config)
        session = Session(
            viewer_id=asked.viewer_id,
            session_id=asked.session_id or str(uuid.uuid4()),
            candidates=candidates_digest(asked.candidates),
            surface=asked.surface,
            experiment=asked.experiment or [],
        )
        expires = int(now.timestamp()) + self._config.voucher_seconds
        key_id, secret = self._token_key()
        return VouchedSession(
            voucher=sign_session(tenant, session, key_id=key_id, secret=secret, expires=expires),
            viewer_id=session.viewer_id,
            session_id=session.session_id,
            expires_at=dt.datetime.fromtimestamp(expires, dt.UTC),
        )

    def vouched(
        self, request: Request, key: ApiKey, asked: SlateRequest, now: dt.datetime
    ) -> tuple[SlateRequest, bool]:
        """Returns what is asked for, filled in with what its voucher says, and whether there is one.

        Without one a secret key asks.

        Raises:
            RefusedError: 403 without a voucher that holds for it.
        """
        voucher = request.headers.get(VOUCHER)
        if voucher is None:
            if key.kind == "secret":
                return asked, False
            raise RefusedError(403, NO_VOUCHER)
        try:
            session = read_voucher(key.tenant, voucher, self._token_keys, now.timestamp())
        except InputError as error:
            raise RefusedError(403, f"the voucher does not hold: {error.reason}") from error
        _refuse_others(asked, session)
        if key.kind == "publishable" and asked.policy == "uniform":
            raise RefusedError(403, "the policy is the platform's: ask for uniform slates with a secret key")
        said = {name: getattr(session, name) for name in _SAID}
        return msgspec.structs.replace(asked, **said), True


def _refuse_others(asked: SlateRequest, session: Session) -> None:
    for name in _SAID:
        value = getattr(asked, name)
        if value is not None and value != getattr(session, name):
            msg = f"the voucher is for another {name}; ask for the slate with what the voucher was given for"
            raise RefusedError(403, msg)
    if candidates_digest(asked.candidates) != session.candidates:
        msg = "the voucher is for other candidates; send those that the platform's server vouched for"
        raise RefusedError(403, msg)
