"""Which events of a request a key may send, and how far its impressions can be trusted."""

import datetime as dt
from collections import Counter
from collections.abc import Mapping

import msgspec

from clapometer.collector.answers import Answer, Caution, RefusedError, Verdict
from clapometer.domain import (
    BROWSER_EVENTS,
    Batch,
    Event,
    InputError,
    RejectedEvent,
    Trust,
    answer_trust,
    code_of,
    encode_block,
    encode_events,
    impression_trust,
    reject,
)
from clapometer.domain.events import Converted, Impression, Reacted, Voted, VotedData, Watched
from clapometer.gate import ApiKey

_BROWSER_EVENTS = frozenset(BROWSER_EVENTS)
_CAUTIONS: dict[Trust, str] = {
    "none": "it bears no token: stored, weighs 0; send the token that came with its slate (POST /v1/slates), or send "
    "impressions from a server with a secret key",
    "forged": "its token does not hold for this impression: stored, weighs 0; send the token as it was issued, "
    "with the impression, clip, position, propensity and viewer that it was issued for",
    "mistimed": "its time is not one for which its token is valid: stored, weighs 0; ask for a slate when it is to be "
    "shown, send impressions when they happen, and with `sentat`, which mends a clock that is wrong",
    "misplaced": "its surface, experiment or session is not that of its slate: stored, weighs 0; repeat what the slate "
    "was asked for",
    "expired": "its token has expired: stored, weighs 0; send impressions when they happen",
    "unconfirmed": "a publishable key says what was paid: stored, counts once a secret key sends the same order",
    "unvouched": "it does not quote the token of its impression (a vote: those of both): stored, weighs 0; send that "
    "token with the answer",
}
_ANSWERS = frozenset((Watched, Reacted, Converted))
_MONEY = ("purchase", "refund")
_NO_TIME, _MAX_TRANSIT = dt.timedelta(0), dt.timedelta(minutes=5)
_FORBIDDEN = "a publishable key may not send {}; send it from a server with a secret key"


class Judged(msgspec.Struct, frozen=True):
    """A request's events after the key has been weighed.

    Attributes:
        events: The accepted ones, in their order.
        rejected: The refused ones, by index.
        forbidden: How many of those were refused because of the key alone.
        trust: What holds for the impressions, save those in ``exceptions`` (by index among the accepted).
        cautions: What the sender is told of accepted ones.
        weightless: How many events count for nothing, by what is wrong with them.
    """

    events: list[Event]
    rejected: list[RejectedEvent]
    forbidden: int = 0
    trust: Trust = "none"
    exceptions: dict[int, Trust] = {}
    cautions: list[Caution] = []
    weightless: Mapping[Trust, int] = {}


def judge(
    batch: Batch,
    key: ApiKey,
    tokens: Mapping[str, bytes],
    now: dt.datetime,
    *,
    max_browser_age: dt.timedelta,
    confirm_purchases: bool,
    answers_need_tokens: bool,
) -> Judged:
    """Returns the verdict on a batch that ``key`` sent at ``now``.

    What a publishable key says of long ago is refused: it would decide about days that were counted already. What it
    says was paid is unconfirmed with ``confirm_purchases``; with ``answers_need_tokens`` what it says of an impression
    is unvouched without the impression's token.
    """
    if key.kind == "secret":
        return Judged(batch.events, batch.rejected, trust="key")
    places = _places(batch)
    events: list[Event] = []
    refused: list[RejectedEvent] = []
    forbidden = 0
    trusts: dict[int, Trust] = {}
    for place, event in enumerate(batch.events):
        kind = type(event)
        if kind not in _BROWSER_EVENTS:
            refused.append(_forbid(event, places[place]))
            forbidden += 1
        elif (event.sentat or now) - event.time > max_browser_age:
            refused.append(_refuse_age(event, places[place], max_browser_age))
        else:
            if kind is Impression:
                seconds, shown = now.timestamp(), _happened(event, now)
                trusts[len(events)] = impression_trust(key.tenant, event.data, tokens, seconds, shown)  # type: ignore[arg-type]
            elif kind is Converted and confirm_purchases and event.data.kind in _MONEY:  # type: ignore[union-attr]
                trusts[len(events)] = "unconfirmed"
            elif answers_need_tokens and kind in _ANSWERS:
                trusts[len(events)] = answer_trust(key.tenant, event.data.impression_id, event.data.token, tokens)  # type: ignore[union-attr]
            elif answers_need_tokens and kind is Voted:
                trusts[len(events)] = _vote_trust(key.tenant, event.data, tokens)  # type: ignore[arg-type]
            events.append(event)
    rejected = batch.rejected
    if refused:
        rejected = sorted([*rejected, *refused], key=lambda verdict: verdict.index or 0)
    weighed = Judged(events, rejected, forbidden)
    return _with_trust(weighed, trusts) if trusts else weighed


def _happened(event: Event, now: dt.datetime) -> float:
    """Returns when an event happened, as the lake will have it: by the clock of receipt where the sender's is wrong."""
    if event.sentat is None or _NO_TIME <= now - event.sentat <= _MAX_TRANSIT:
        return event.time.timestamp()
    return now.timestamp() - max(_NO_TIME, event.sentat - event.time).total_seconds()


def _vote_trust(tenant: str, vote: VotedData, tokens: Mapping[str, bytes]) -> Trust:
    """Returns whether a vote quotes the tokens of both impressions."""
    sides = ((vote.left_impression_id, vote.left_token), (vote.right_impression_id, vote.right_token))
    vouched = all(answer_trust(tenant, impression, token, tokens) == "token" for impression, token in sides)
    return "token" if vouched else "unvouched"


def _with_trust(judged: Judged, trusts: dict[int, Trust]) -> Judged:
    """Returns the same with the trust of each event that has one of its own, by its index among the accepted ones."""
    shown = Counter(trust for trust in trusts.values() if trust not in ("unconfirmed", "unvouched"))
    usual = shown.most_common(1)[0][0] if shown else "none"
    exceptions = {index: trust for index, trust in trusts.items() if trust != usual}
    judged = msgspec.structs.replace(judged, trust=usual, exceptions=exceptions)
    if usual not in _CAUTIONS and not exceptions:
        return judged
    weightless = Counter(trust for trust in trusts.values() if trust in _CAUTIONS)
    judged = msgspec.structs.replace(judged, weightless=weightless)
    return cautioned(judged, {index: _CAUTIONS[trust] for index, trust in trusts.items() if trust in _CAUTIONS})


def cautioned(judged: Judged, told: Mapping[int, str]) -> Judged:
    """Returns the same with what its sender is told besides of accepted events, by their index among these."""
    refused = {letter.index for letter in judged.rejected}
    places = [place for place in range(len(judged.events) + len(refused)) if place not in refused]
    cautions = [Caution(places[index], judged.events[index].id, reason) for index, reason in told.items()]
    told_all = sorted([*judged.cautions, *cautions], key=lambda caution: caution.index)
    return msgspec.structs.replace(judged, cautions=told_all)


def block_of(judged: Judged, key: ApiKey, received_at: dt.datetime, trace_id: str) -> bytes:
    """Returns the block that the request leaves in the event log.

    It was received at a whole millisecond, as clients' clocks tell: what microseconds say of many clients is no order,
    and in the lake they would take a byte or two of every event, for ever.
    """
    return encode_block(
        encode_events(judged.events),
        len(judged.events),
        tenant=key.tenant,
        received_at=received_at.replace(microsecond=received_at.microsecond // 1000 * 1000),
        rejected=judged.rejected,
        key_id=key.id,
        trust=judged.trust,
        exceptions=judged.exceptions,
        trace_id=trace_id,
    )


def verdict_of(judged: Judged) -> Answer | RefusedError:
    """Returns what the sender is told once the block is durable.

    Where every event was refused that is an error: 403 if only the key was in the way, else 422.
    """
    verdicts = [
        Verdict(letter.index or 0, letter.id, code_of(letter.code), letter.field, letter.reason)
        for letter in judged.rejected
    ]
    if judged.events or not verdicts:
        return Answer(len(judged.events), verdicts, judged.cautions)
    if judged.forbidden == len(verdicts):
        msg = "this key may not send any of these events; use a secret key, from a server"
        return RefusedError(403, msg, rejected=verdicts)
    msg = f"none of the {len(verdicts)} events could be accepted; `rejected` says why and how to mend each"
    return RefusedError(422, msg, rejected=verdicts)


def _places(batch: Batch) -> range | list[int]:
    """Returns the index in the request of each accepted event."""
    if not batch.rejected:
        return range(len(batch.events))
    refused = {letter.index for letter in batch.rejected}
    total = len(batch.events) + len(batch.rejected)
    return [index for index in range(total) if index not in refused]


def _forbid(event: Event, place: int) -> RejectedEvent:
    name = type(event).__struct_config__.tag
    return reject(encode_events([event]).rstrip(), InputError(_FORBIDDEN.format(name), "type", code="forbidden"), place)


def _refuse_age(event: Event, place: int, max_age: dt.timedelta) -> RejectedEvent:
    sent = "now" if event.sentat is None else f"{event.sentat.isoformat()}, when it was sent"
    hours = max_age / dt.timedelta(hours=1)
    reason = (
        f"{event.time.isoformat()} is more than {hours:g} hours before {sent}; a publishable key says what happens "
        "when it happens; send older events from a server with a secret key"
    )
    return reject(encode_events([event]).rstrip(), InputError(reason, "time", code="clock"), place)
