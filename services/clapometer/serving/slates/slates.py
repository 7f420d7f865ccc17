"""Makes slates: candidates in; out comes an order with propensities and signed tokens."""

import datetime as dt
import uuid
from collections.abc import Callable, Sequence
from itertools import groupby
from random import Random
from typing import Annotated

import msgspec
from msgspec import Meta

from clapometer.domain import InputError, TolerantDecoder, sign_impression
from clapometer.domain.events import Experiment, Identifier, ImpressionData, Label
from clapometer.http.bodies import decode_body
from clapometer.serving.config import Policy, ServingConfig
from clapometer.serving.reading.answers import LeftOut, Slate, Slot
from clapometer.serving.slates.policies import Choice, RankedPolicy, uniform_slate
from clapometer.serving.slates.scores import Scored

NO_RANKING = "There is no ranking yet, so the order is uniformly random."
NO_EXPLORATION = "Nothing is explored on this surface: rankings made from it alone are tier C."

_NAMED = 3
"""Unregistered candidates that are named; the others are counted."""


class SlateRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a feed asks for.

    Attributes:
        candidates: Ids of the clips that may be shown, each once.
        viewer_id: Who sees them; the tokens hold for this viewer only.
        session_id: Which session of the viewer. Tokens hold only for what is named of session, surface and experiment.
        surface: Where they are shown.
        experiment: The arms of experiments that the viewer is in.
        slots: How many to show.
        policy: ``ranked``: best first, save for the explored share. ``uniform``: all at random.
    """

    candidates: Annotated[list[Identifier], Meta(min_length=1)]
    viewer_id: Identifier
    session_id: Identifier | None = None
    surface: Label | None = None
    experiment: Annotated[list[Experiment], Meta(max_length=32)] | None = None
    slots: Annotated[int, Meta(ge=1)] | None = None
    policy: Policy | None = "ranked"


_REQUEST = TolerantDecoder(SlateRequest)


def decode_request(body: bytes, config: ServingConfig) -> SlateRequest:
    """Returns the request that a body spells.

    Raises:
        InputError: It is none, or asks for more than is allowed; names the field.
    """
    request = decode_body(_REQUEST, body)
    check_candidates(request.candidates, config)
    if request.slots is not None and request.slots > config.max_slots:
        msg = f"{request.slots} slots; at most {config.max_slots}"
        raise InputError(msg, "slots")
    return request


def check_candidates(clip_ids: Sequence[str], config: ServingConfig) -> None:
    """Refuses too many candidates, and one that is there twice.

    Raises:
        InputError: They are such; names the field.
    """
    if len(clip_ids) > config.max_candidates:
        msg = f"{len(clip_ids)} candidates; at most {config.max_candidates}"
        raise InputError(msg, "candidates")
    if len(set(clip_ids)) < len(clip_ids):
        first = next(clip for i, clip in enumerate(clip_ids) if clip in clip_ids[:i])
        msg = f"{first!r} is there twice; name every clip once"
        raise InputError(msg, "candidates")


class SlateMaker:
    """Draws slates and signs their impressions.

    Args:
        config: Shares and limits.
        token_key: Returns id and secret of the key that signs tokens now.
        random: Where chance comes from; a seeded one gives the same slates again.
    """

    def __init__(self, config: ServingConfig, token_key: Callable[[], tuple[str, bytes]], random: Random) -> None:
        self._config = config
        self._token_key = token_key
        self._random = random
        self._ranked = RankedPolicy()

    def slate(
        self,
        request: SlateRequest,
        tenant: str,
        *,
        shown: Sequence[Scored],
        left_out: dict[str, str],
        unregistered: Sequence[str] = (),
        run_id: str | None,
        now: dt.datetime,
        closed: bool = False,
    ) -> Slate:
        """Returns a slate over the candidates in ``shown``.

        With ``closed`` its impressions name no surface and no experiment but those that are asked for.
        """
        share = self._config.share_for(request.surface)
        slots = request.slots or self._config.default_slots
        ranked = request.policy != "uniform" and run_id is not None
        order, choices = self._draw(shown, slots, share if ranked else None)
        policy_id = f"ranked.v1 share={share:g} run={run_id}"[:100] if ranked else "uniform.v1"
        issued = int(now.timestamp())
        expires = issued + self._config.token_seconds
        slate_id = self._new_id()
        signing = self._token_key()
        made = [
            self._slot(
                request,
                tenant,
                order[choice.index],
                choice=choice,
                position=position,
                candidates=len(shown),
                valid=(issued, expires),
                signing=signing,
                closed=closed,
            )
            for position, choice in enumerate(choices)
        ]
        return Slate(
            slate_id=slate_id,
            policy_id=policy_id,
            run_id=run_id if ranked else None,
            explore_share=share if ranked else 1.0,
            surface=request.surface,
            experiment=request.experiment,
            viewer_id=request.viewer_id,
            session_id=request.session_id,
            expires_at=dt.datetime.fromtimestamp(expires, dt.UTC),
            slots=made,
            left_out=[LeftOut(clip_id, reason) for clip_id, reason in left_out.items()],
            notes=[*_notes(request.policy, run_id, share), *_unregistered(unregistered, len(request.candidates))],
        )

    def _draw(self, shown: Sequence[Scored], slots: int, share: float | None) -> tuple[list[Scored], list[Choice]]:
        if not shown:
            return [], []
        if share is None:
            return list(shown), uniform_slate(len(shown), slots, self._random)
        # Shuffled before it is sorted: clips that are equally good stand in random order.
        order = self._random.sample(list(shown), len(shown))
        order.sort(key=_merit, reverse=True)
        groups = [len(list(alike)) for _, alike in groupby(order, key=_merit)]
        return order, self._ranked.slate(groups, slots, share, self._random)

    def _slot(
        self,
        request: SlateRequest,
        tenant: str,
        clip: Scored,
        *,
        choice: Choice,
        position: int,
        candidates: int,
        valid: tuple[int, int],
        signing: tuple[str, bytes],
        closed: bool,
    ) -> Slot:
        impression = ImpressionData(
            impression_id=self._new_id(),
            clip_id=clip.clip_id,
            viewer_id=request.viewer_id,
            session_id=request.session_id,
            surface=request.surface,
            experiment=request.experiment,
            position=position,
            propensity=choice.propensity,
            candidates=candidates,
            explored=choice.explored,
        )
        key_id, secret = signing
        issued, expires = valid
        token = sign_impression(
            tenant, impression, key_id=key_id, secret=secret, issued=issued, expires=expires, closed=closed
        )
        return Slot(
            clip_id=clip.clip_id,
            position=position,
            impression_id=impression.impression_id,
            propensity=choice.propensity,
            candidates=candidates,
            explored=choice.explored,
            token=token,
            score=clip.score,
        )

    def _new_id(self) -> str:
        return str(uuid.UUID(int=self._random.getrandbits(128), version=4))


def _merit(clip: Scored) -> float:
    """Orders clips; one of which nothing is known counts as average, which is what an effect of 0 means."""
    return clip.score or 0.0


def _unregistered(clip_ids: Sequence[str], candidates: int) -> list[str]:
    if not clip_ids:
        return []
    named = ", ".join(map(repr, clip_ids[:_NAMED])) + (", …" if len(clip_ids) > _NAMED else "")
    return [
        f"{len(clip_ids)} of {candidates} candidates are not registered: {named}. Their impressions count in no "
        "ranking until PUT /v1/clips/{clip_id} registers them."
    ]


def _notes(policy: Policy | None, run_id: str | None, share: float) -> list[str]:
    if policy == "uniform":
        return []
    if run_id is None:
        return [NO_RANKING]
    return [NO_EXPLORATION] if share == 0 else []
