"""The closed union of events: one frozen type each, used on the wire, in the log and in memory.

The wire form is CloudEvents 1.0 JSON (https://cloudevents.io). ``(source, id)`` is the identity of an
event: sending it again changes nothing. Only decoding validates (:func:`clapometer.domain.decode_event`);
constructors do not, so build events through it or through ``tests/support/builders.py``.
"""

import datetime as dt
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

MAX_CLIP_MS = 6 * 3_600_000
"""Longest clip, in milliseconds; no unique watch time can exceed it."""
MAX_TOTAL_MS = 24 * 3_600_000
"""Longest time one impression can play, loops included, in milliseconds."""

Identifier = Annotated[str, Meta(min_length=1, max_length=200)]
Label = Annotated[str, Meta(min_length=1, max_length=100)]
Text = Annotated[str, Meta(max_length=20_000)]
Instant = Annotated[dt.datetime, Meta(tz=True)]
ClipMillis = Annotated[int, Meta(ge=0, le=MAX_CLIP_MS)]
TotalMillis = Annotated[int, Meta(ge=0, le=MAX_TOTAL_MS)]
Count = Annotated[int, Meta(ge=0, le=1_000_000_000)]
Amount = Annotated[float, Meta(ge=-1e12, le=1e12)]
# `$` ends before a last newline in Python and nowhere else: the length refuses what it lets through.
Currency = Annotated[str, Meta(pattern="^[A-Z]{3}$", max_length=3)]
Propensity = Annotated[float, Meta(gt=0, le=1)]
Sha256 = Annotated[str, Meta(pattern="^[0-9a-f]{64}$", max_length=64)]
MIN_SEED, MAX_SEED = -(2**63), 2**64 - 1
Seed = Annotated[int, Meta(extra_json_schema={"minimum": MIN_SEED, "maximum": MAX_SEED})]
Scalar = str | int | float | bool
Variables = Annotated[dict[Label, Annotated[str, Meta(max_length=2_000)] | int | float | bool], Meta(max_length=100)]


class _Data(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True, gc=False):
    """Settings shared by every part of an event: closed, immutable, defaults left out when encoded."""


class Prompt(_Data, frozen=True):
    """What the generator was asked for: ``text``, or its ``hash`` where the text must stay private."""

    text: Text | None = None
    hash: Identifier | None = None
    negative: Text | None = None
    lang: Label | None = None

    def __post_init__(self) -> None:
        if not self.text and not self.hash:
            msg = "give `text`, or `hash` where the text must not leave the platform"
            raise ValueError(msg)


class Model(_Data, frozen=True):
    """The generator release that made the clip."""

    name: Identifier
    version: Identifier


class Template(_Data, frozen=True):
    """The prompt template and the variables that filled it."""

    id: Identifier
    version: Label | None = None
    vars: Variables | None = None


class Reference(_Data, frozen=True):
    """A picture, clip or sound that the generator was given."""

    role: Label
    media: Label
    sha256: Sha256 | None = None
    rights_id: Identifier | None = None


class Lineage(_Data, frozen=True):
    """Where the clip comes from and what it is for."""

    parent_clip_id: Identifier | None = None
    relation: Label | None = None
    batch_id: Identifier | None = None
    product_id: Identifier | None = None
    campaign_id: Identifier | None = None
    series_id: Identifier | None = None
    episode: Count | None = None
    audience: Label | None = None
    scenario: Label | None = None
    creator_id: Identifier | None = None


class Cost(_Data, frozen=True):
    """What generating the clip took."""

    gpu_seconds: Annotated[float, Meta(ge=0, le=1e9)] | None = None
    amount: Annotated[float, Meta(ge=0, le=1e12)] | None = None
    currency: Currency | None = None
    queue_ms: TotalMillis | None = None


class Flags(_Data, frozen=True):
    """What disqualifies a clip from being compared with others."""

    watermark: bool | None = False
    ad: bool | None = False
    repost_of: Identifier | None = None


class Provenance(_Data, frozen=True):
    """Content credentials (C2PA)."""

    manifest_id: Identifier


class Experiment(_Data, frozen=True):
    """The arm of a randomised experiment that the viewer was in.

    Attributes:
        id: The experiment.
        variant: The arm.
    """

    id: Identifier
    variant: Label


class ClipRegisteredData(_Data, frozen=True):
    """A clip that was generated."""

    clip_id: Identifier
    prompt: Prompt
    model: Model
    duration_ms: Annotated[int, Meta(ge=1, le=MAX_CLIP_MS)]
    task: Literal["t2v", "i2v", "r2v", "v2v", "edit", "extend"]
    template: Template | None = None
    seed: Seed | None = None
    params: Variables | None = None
    references: Annotated[list[Reference], Meta(max_length=32)] | None = None
    lineage: Lineage | None = None
    cost: Cost | None = None
    content_hash: Identifier | None = None
    flags: Flags | None = None
    provenance: Provenance | None = None
    training_allowed: bool | None = False

    def __post_init__(self) -> None:
        if self.seed is not None and not MIN_SEED <= self.seed <= MAX_SEED:  # more than `Meta` can say
            msg = f"`seed` must be from {MIN_SEED} to {MAX_SEED}, as 64 bits hold them with or without a sign"
            raise ValueError(msg)


class ClipWithdrawnData(_Data, frozen=True):
    """A clip that was taken down."""

    clip_id: Identifier
    reason: Label
    scope: Literal["clip", "descendants", "duplicates"] | None = "clip"


class ImpressionData(_Data, frozen=True):
    """One clip shown to one viewer; ``propensity`` is the chance that this slot is filled with this clip."""

    impression_id: Identifier
    clip_id: Identifier
    viewer_id: Identifier
    session_id: Identifier | None = None
    slate_id: Identifier | None = None
    position: Annotated[int, Meta(ge=0, le=10_000)] | None = None
    surface: Label | None = None
    policy_id: Label | None = None
    propensity: Propensity | None = None
    candidates: Annotated[int, Meta(ge=1, le=1_000_000_000)] | None = None
    explored: bool | None = None
    experiment: Annotated[list[Experiment], Meta(max_length=32)] | None = None
    audience: Label | None = None
    locale: Label | None = None
    device_class: Label | None = None
    muted_start: bool | None = None
    autoplay: bool | None = None
    token: Annotated[str, Meta(max_length=1_000)] | None = None


class WatchedData(_Data, frozen=True):
    """How much of an impression was watched so far. Cumulative: the largest of each number wins.

    With a publishable key it quotes the ``token`` of its impression, as reactions and conversions do.
    """

    impression_id: Identifier
    watched_ms: ClipMillis | None = None
    played_segments: Annotated[list[tuple[ClipMillis, ClipMillis]], Meta(max_length=256)] | None = None
    total_ms: TotalMillis | None = None
    muted_ms: TotalMillis | None = None
    paused_ms: TotalMillis | None = None
    loops: Count | None = None
    max_position_ms: ClipMillis | None = None
    end_reason: Literal["ended", "skipped", "closed", "navigated", "error", "heartbeat"] | None = None
    token: Annotated[str, Meta(max_length=1_000)] | None = None

    def __post_init__(self) -> None:
        if self.watched_ms is None and self.played_segments is None:
            msg = "give `watched_ms` (unique milliseconds) or `played_segments`"
            raise ValueError(msg)
        for start, end in self.played_segments or ():
            if start > end:
                msg = "a segment of `played_segments` ends before it starts; write [start_ms, end_ms]"
                raise ValueError(msg)


Reaction = Literal["like", "save", "share", "comment", "follow", "dislike", "hide", "not_interested", "report"]


class ReactedData(_Data, frozen=True):
    """An explicit reaction, or its undoing."""

    impression_id: Identifier
    reaction: Reaction
    undone: bool | None = False
    channel: Label | None = None
    reason: Label | None = None
    token: Annotated[str, Meta(max_length=1_000)] | None = None


class ConvertedData(_Data, frozen=True):
    """What the viewer did with the product shown. ``value`` needs ``currency``.

    An order (``order_id``) counts once. Its lines are events of their own with the same ``time``, and add up; said
    again later, it replaces what was said before. Of several impressions that claim it, the last one shown before it
    was placed has it. A ``refund`` names the order and the amount given back, all where it names no amount; refunds
    add up, and revenue is what is left. An amount below 0 is a refund too. The view ``orders`` says what each order
    came to, and what is odd: a refund without a purchase, more given back than paid, amounts in several currencies,
    which neither add up nor compare. What a secret key says of an order goes before what a browser says, which
    counts for nothing by itself unless ``confirm_purchases`` is off.
    """

    impression_id: Identifier
    kind: Literal["click", "visual_search", "add_to_cart", "purchase", "refund"]
    value: Amount | None = None
    currency: Currency | None = None
    order_id: Identifier | None = None
    token: Annotated[str, Meta(max_length=1_000)] | None = None

    def __post_init__(self) -> None:
        if self.value is not None and self.currency is None:
            msg = "`value` needs `currency`, an ISO 4217 code such as EUR"
            raise ValueError(msg)


VoteResult = Literal["left", "right", "tie", "both_bad"]


class VotedData(_Data, frozen=True):
    """A person compared two clips: the human anchor.

    It counts where both impressions are vouched for, and of one viewer. With a publishable key it quotes their tokens.
    """

    left_impression_id: Identifier
    right_impression_id: Identifier
    result: VoteResult
    axes: Annotated[dict[Label, VoteResult], Meta(max_length=16)] | None = None
    left_token: Annotated[str, Meta(max_length=1_000)] | None = None
    right_token: Annotated[str, Meta(max_length=1_000)] | None = None


class CreatorActedData(_Data, frozen=True):
    """What the person who prompted did with the clips that one prompt or batch gave."""

    action: Literal["accepted", "rerolled", "edited", "downloaded", "published", "deleted"]
    prompt_id: Identifier | None = None
    batch_id: Identifier | None = None
    chosen_clip_id: Identifier | None = None
    shown_clip_ids: Annotated[list[Identifier], Meta(max_length=64)] | None = None

    def __post_init__(self) -> None:
        if self.prompt_id is None and self.batch_id is None:
            msg = "give `prompt_id` or `batch_id`"
            raise ValueError(msg)


class ViewerErasedData(_Data, frozen=True):
    """A viewer asked to be forgotten (GDPR Art. 17)."""

    viewer_id: Identifier


class _CloudEvent(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    omit_defaults=True,
    tag_field="type",
    gc=False,
):
    """CloudEvents 1.0 context attributes; ``sentat`` is the sender's clock when it sent, to correct skew."""

    specversion: Literal["1.0"]
    id: Identifier
    source: Identifier
    time: Instant
    subject: str | None = None
    datacontenttype: str | None = None
    dataschema: str | None = None
    sentat: Instant | None = None
    traceparent: str | None = None


class ClipRegistered(_CloudEvent, frozen=True, tag="clapometer.clip_registered.v1"):
    """A clip was generated."""

    data: ClipRegisteredData


class ClipWithdrawn(_CloudEvent, frozen=True, tag="clapometer.clip_withdrawn.v1"):
    """A clip was taken down."""

    data: ClipWithdrawnData


class Impression(_CloudEvent, frozen=True, tag="clapometer.impression.v1"):
    """A clip was shown."""

    data: ImpressionData


class Watched(_CloudEvent, frozen=True, tag="clapometer.watched.v1"):
    """Some of an impression was watched."""

    data: WatchedData


class Reacted(_CloudEvent, frozen=True, tag="clapometer.reacted.v1"):
    """A viewer reacted."""

    data: ReactedData


class Converted(_CloudEvent, frozen=True, tag="clapometer.converted.v1"):
    """A viewer converted."""

    data: ConvertedData


class Voted(_CloudEvent, frozen=True, tag="clapometer.voted.v1"):
    """A person compared two impressions."""

    data: VotedData


class CreatorActed(_CloudEvent, frozen=True, tag="clapometer.creator_acted.v1"):
    """A creator chose, rerolled or dropped clips."""

    data: CreatorActedData


class ViewerErased(_CloudEvent, frozen=True, tag="clapometer.viewer_erased.v1"):
    """A viewer is to be forgotten."""

    data: ViewerErasedData


Event = (
    ClipRegistered | ClipWithdrawn | Impression | Watched | Reacted | Converted | Voted | CreatorActed | ViewerErased
)
EVENT_TYPES: tuple[type[_CloudEvent], ...] = (
    ClipRegistered, ClipWithdrawn, Impression, Watched, Reacted, Converted, Voted, CreatorActed, ViewerErased,
)  # fmt: skip
BROWSER_EVENTS: tuple[type[_CloudEvent], ...] = (Impression, Watched, Reacted, Converted, Voted)
"""What a publishable key may send; the rest needs a secret key."""
