"""What serving answers: the same values for the API, the page and the command line."""

import datetime as dt
from typing import Any, Literal, get_args

import msgspec

from clapometer.domain import Against
from clapometer.domain.events import Experiment
from clapometer.serving.reading.reproduction import Reproduction

Subject = Literal["model_versions", "prompts", "templates"]
Segment = Literal["task", "scenario", "audience", "locale", "duration_band", "evidence"]
SUBJECTS: tuple[Subject, ...] = get_args(Subject)
SEGMENTS: tuple[Segment, ...] = get_args(Segment)
WHOLE = "all"
"""The segment of all impressions; its value is empty."""


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """What made a ranking: enough to make it again bit for bit with ``clapometer train --run``.

    Attributes:
        excluded: Impressions, and votes, that did not count, by reason.
        outcomes: All impressions, those that did not count among them.
    """

    run_id: str
    status: str
    trigger: str | None
    started_at: dt.datetime | None
    finished_at: dt.datetime | None
    code_version: str | None
    rule: Any
    estimator: str | None
    parameters: Any
    seed: int | None
    snapshot: Any
    excluded: Any
    outcomes: int | None
    result_hash: str | None
    error: str | None
    as_of: dt.datetime | None = None
    tier: str | None = None
    tier_reason: str | None = None


class Standing(msgspec.Struct, frozen=True, kw_only=True, tag_field="standing", tag="ranked"):
    """An item with its place. Intervals hold with 95 % where ``calibrated``; the columns of the lake say what they are.

    Attributes:
        label: Its name for people: text that others wrote, to be escaped wherever it is shown.
        completion_rank: The place that the raw completion rate would give: beside ours, to be compared.
        withheld_verdict: What would be said, could it not have been bought; ``viewers_to_buy`` by how few viewers.
    """

    item: str
    label: str | None
    rank: int
    rank_low: int | None
    rank_high: int | None
    effect: float | None
    effect_low: float | None
    effect_high: float | None
    value: float | None
    value_low: float | None
    value_high: float | None
    p_best: float | None
    tier: str | None
    calibrated: bool | None
    verdict: str | None
    impressions: int | None
    clips: int | None
    prompts: int | None
    viewers: int | None
    completion_rate: float | None
    completion_rank: int | None
    like_rate: float | None
    cost_per_clip: float | None
    revenue_per_1000: float | None
    currency: str | None
    currency_share: float | None
    cost_currency: str | None
    cost_currency_share: float | None
    fake_reactions_to_top: int | None
    impressions_to_drop: int | None
    votes: int | None
    withheld_verdict: str | None = None
    viewers_to_buy: int | None = None

    @property
    def name(self) -> str:
        """The label, or the id where there is none."""
        return self.label or self.item


class NotRanked(msgspec.Struct, frozen=True, kw_only=True, tag_field="standing", tag="unranked"):
    """An item that has no place, and why.

    Attributes:
        reason: Why it has no place.
    """

    item: str
    label: str | None
    reason: str
    impressions: int | None
    clips: int | None
    votes: int | None

    @property
    def name(self) -> str:
        """The label, or the id where there is none."""
        return self.label or self.item


class Ranking(msgspec.Struct, frozen=True, kw_only=True):
    """A page of a ranking, with what made it.

    Attributes:
        stale: Whether a newer run failed, so that this is the last good one; ``stale_reason`` says why it failed.
        tier: The weakest tier of its items.
        calibrated: Whether the intervals of all items are known to hold.
        notes: What a reader must know, in plain words.
        segment: ``all``, or the dimension that is filtered by; ``segment_value`` is its value.
        segment_value: Value of the dimension; empty where ``segment`` is ``all``.
        subject: What is ranked.
        run: What made it.
        stale_reason: Why the newest run failed; null where it did not.
        segments: What the run computed for this subject: values by segment.
        impressions: Those of this segment that count; null in a ranking by votes, which has ``votes``.
        votes: Comparisons by people that it rests on, in a ranking by votes.
        total_ranked: Items with a place, on all pages.
        total_unranked: Items without one, on all pages.
        limit: Most items of this page.
        offset: Items before this page.
        rows: Items with a place, best first.
        unranked: Items without one, each with the reason.
        next_offset: Where the next page starts; absent on the last.
        reproduction: How to get these numbers without this server.
    """

    subject: Subject
    segment: str
    segment_value: str
    run: Run
    stale: bool
    stale_reason: str | None
    tier: str | None
    calibrated: bool
    notes: list[str]
    segments: dict[str, list[str]]
    impressions: int | None
    votes: int | None
    total_ranked: int
    total_unranked: int
    limit: int
    offset: int
    next_offset: int | None
    rows: list[Standing]
    unranked: list[NotRanked]
    reproduction: Reproduction


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """Two items of one ranking.

    Attributes:
        subject: What is compared.
        left: The item that is judged, and ``right`` the one that it is judged against.
        right: The other item.
        reason: Why there is no difference to tell; null where there is.
        calibrated: Whether the intervals are known to hold.
        notes: What a reader must know, in plain words.
        comparable: Whether there is a difference to tell; where not, ``reason`` says why.
        verdict: What the interval for one look says of the left item against the right one, such as the champion,
            where it stands without any viewers that one person could have made up.
        difference: Effect of the left item less that of the right, in label units per impression.
        low: Lower end of its 95 % interval; ``high`` the upper. They hold for one look.
        always_low: Lower end of the interval that holds at all looks together; ``always_high`` the upper. Whoever
            looks every day goes by these; null where the run has none.
        p_left: Probability that the left item is better.
        bought_low: Lower end of the interval for one look, had as much of the difference been bought as one person can;
            ``bought_high`` the upper. Null where the run does not say.
        method: ``joint``: from the joint covariance of the run. ``from_intervals``: from the two intervals as if
            the items were independent (Zou and Donner 2008), which is approximate.
    """

    subject: Subject
    segment: str
    segment_value: str
    run_id: str
    comparable: bool
    verdict: Against
    reason: str | None
    difference: float | None
    low: float | None
    high: float | None
    always_low: float | None
    always_high: float | None
    p_left: float | None
    bought_low: float | None
    bought_high: float | None
    method: Literal["joint", "from_intervals"] | None
    tier: str | None
    calibrated: bool
    notes: list[str]
    left: Standing | NotRanked
    right: Standing | NotRanked


class Slot(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A filled slot. All but ``score`` go into the impression event as they stand.

    Attributes:
        position: 0 is the first.
        propensity: Chance, before anything was drawn, that this policy fills this slot with this clip.
        candidates: Clips that could have filled it.
        explored: Whether the slot was filled at random.
        token: Vouches for all of this until ``expires_at`` of the slate.
        impression_id: Goes into the impression and everything that answers it.
        score: What the clip was ordered by; absent where nothing is known of it.
    """

    clip_id: str
    position: int
    impression_id: str
    propensity: float
    candidates: int
    explored: bool
    token: str
    score: float | None = None


class LeftOut(msgspec.Struct, frozen=True):
    """A candidate that no slot may show.

    Attributes:
        reason: Why not.
    """

    clip_id: str
    reason: str


class Slate(msgspec.Struct, frozen=True, kw_only=True):
    """The clips to show, in order, with what their impressions must quote.

    Attributes:
        slate_id: Goes into the impressions: they were shown together.
        policy_id: What chose the clips.
        run_id: The run whose ranking ordered them; null where there is none yet.
        explore_share: Share of slots that are filled at random on this surface.
        surface: As asked; with `experiment` and `session_id` it goes into the impressions as it is here.
        experiment: As asked.
        expires_at: When the tokens of the slots end.
        slots: The filled slots, in order.
        left_out: Candidates that no slot may show.
        notes: What the sender should know, in plain words.
    """

    slate_id: str
    policy_id: str
    run_id: str | None
    explore_share: float
    surface: str | None
    experiment: list[Experiment] | None
    viewer_id: str
    session_id: str | None
    expires_at: dt.datetime
    slots: list[Slot]
    left_out: list[LeftOut]
    notes: list[str]


class Attacked(msgspec.Struct, frozen=True, kw_only=True):
    """What one person with the key of a page can buy by one route, as `clapometer audit --attack` tried it last."""

    run_id: str
    audited_at: dt.datetime
    route: str
    status: str
    found: str
    advice: str


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """The ledger: received = stored + duplicates + rejected + suppressed; ``difference`` is what is missing.

    ``weightless`` counts the stored impressions without a token that holds.
    """

    received: int
    stored: int
    duplicates: int
    conflicts: int
    rejected: int
    suppressed: int
    weightless: int
    difference: int


class Hour(msgspec.Struct, frozen=True):
    """Events of one hour."""

    hour: dt.datetime
    stored: int
    duplicates: int
    rejected: int


class Rejection(msgspec.Struct, frozen=True):
    """Events that were refused for one reason; what was said of them is for who has a key."""

    code: str
    reason: str | None
    field: str | None
    events: int
    newest_at: dt.datetime | None


class Sender(msgspec.Struct, frozen=True):
    """A source, how many of its events are stored, and how many of its impressions weigh nothing."""

    source: str
    weightless: int
    stored: int


class UnregisteredSource(msgspec.Struct, frozen=True):
    """A source, and how many impressions of clips that nobody registered it sent on the newest two days."""

    source: str
    impressions: int
    clips: int
    example: str


class UnregisteredKey(msgspec.Struct, frozen=True):
    """A key, and how many candidates of its slates nobody registered, since this process started."""

    key: str
    candidates: int
    unregistered: int
    example: str


class Pipeline(msgspec.Struct, frozen=True, kw_only=True):
    """The state of everything before the ranking."""

    counts: Counts
    newest_event_at: dt.datetime | None
    hours: list[Hour]
    rejections: list[Rejection]
    senders: list[Sender]
    unregistered_sources: list[UnregisteredSource]
    unregistered_keys: list[UnregisteredKey]
    runs: list[Run]
