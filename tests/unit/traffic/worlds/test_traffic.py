import collections
import datetime as dt
import uuid
from pathlib import Path

import numpy as np
import pytest

from clapometer.domain import Event, InputError, decode_batch, encode_events, events, impression_trust
from clapometer.simulation import WorldConfig
from clapometer.traffic import Signing, TrafficOptions, WorldTraffic, build_traffic, read_truth, truth_of, write_truth
from clapometer.traffic.worlds.prompt_texts import write_prompts

NOW = dt.datetime(2026, 5, 4, 15, 30, tzinfo=dt.UTC)
SMALL = WorldConfig(n_prompts=200, n_sessions=280, n_viewers=100, bots=2, n_models=5)


def traffic(seed: int = 1, until: dt.datetime = NOW, config: WorldConfig = SMALL, **changes: object) -> WorldTraffic:
    return build_traffic(config, TrafficOptions(seed, until, **changes))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def sent() -> list[Event]:
    return list(traffic(votes=20, conversions=0.05).events())


def of(sent: list[Event], kind: type) -> list:  # type: ignore[type-arg]
    return [event for event in sent if isinstance(event, kind)]


def test_every_event_would_be_accepted(sent: list[Event]) -> None:
    body = b"[" + b",".join(encode_events(sent).splitlines()) + b"]"
    verdict = decode_batch(body, NOW, max_events=10**6)
    assert verdict.rejected == []
    assert len(verdict.events) == len(sent)


def test_the_same_arguments_give_the_same_bytes(sent: list[Event]) -> None:
    assert encode_events(list(traffic(votes=20, conversions=0.05).events())) == encode_events(sent)


def test_a_later_run_moves_the_times_and_keeps_the_ids(sent: list[Event]) -> None:
    later = list(traffic(until=NOW + dt.timedelta(days=3), votes=20, conversions=0.05).events())
    assert [(event.source, event.id, event.data) for event in later] == [
        (event.source, event.id, event.data) for event in sent
    ]
    assert {new.time - old.time for new, old in zip(later, sent, strict=True)} == {dt.timedelta(days=3)}


@pytest.mark.parametrize("other", [traffic(seed=2), traffic(config=WorldConfig.calm(n_prompts=200, n_sessions=280))])
def test_another_world_shares_no_id(sent: list[Event], other: WorldTraffic) -> None:
    assert {event.id for event in sent}.isdisjoint(event.id for event in other.events())


def test_ids_are_unique_and_have_the_form_of_a_uuid(sent: list[Event]) -> None:
    assert max(collections.Counter(event.id for event in sent).values()) == 1
    shown = [uuid.UUID(event.id) for event in of(sent, events.Impression)]
    assert {(id_.version, id_.variant) for id_ in shown} == {(8, uuid.RFC_4122)}


def test_the_log_ends_at_the_last_midnight(sent: list[Event]) -> None:
    midnight = dt.datetime(2026, 5, 4, tzinfo=dt.UTC)
    times = [event.time for event in of(sent, events.Impression)]
    assert midnight - dt.timedelta(days=SMALL.n_days) <= min(times)
    assert midnight - dt.timedelta(days=1) < max(times) < midnight


def test_what_was_seen_is_what_the_world_says(sent: list[Event]) -> None:
    log = traffic().log
    shown, watched, reacted = (of(sent, kind) for kind in (events.Impression, events.Watched, events.Reacted))
    assert len(shown) == len(watched) == len(log)
    wanted = {name: int(getattr(log, name).sum()) for name in ("like", "save", "share", "dislike")}
    assert collections.Counter(event.data.reaction for event in reacted) == wanted
    assert sum(event.data.propensity is None for event in shown) == np.isnan(log.propensity).sum()
    assert [event.data.position for event in shown] == log.position.tolist()


def test_a_clip_watched_to_its_end_was_watched_for_its_duration(sent: list[Event]) -> None:
    duration = {event.data.clip_id: event.data.duration_ms for event in of(sent, events.ClipRegistered)}
    clip = {event.data.impression_id: event.data.clip_id for event in of(sent, events.Impression)}
    for event in of(sent, events.Watched):
        whole = event.data.watched_ms == duration[clip[event.data.impression_id]]
        assert whole == (event.data.end_reason == "ended")


def test_every_clip_shown_is_registered_before_it_is_shown(sent: list[Event]) -> None:
    registered = {event.data.clip_id: event.time for event in of(sent, events.ClipRegistered)}
    assert all(registered[event.data.clip_id] <= event.time for event in of(sent, events.Impression))


def test_reposts_share_the_content_of_their_original(sent: list[Event]) -> None:
    clips = traffic().world.clips
    shared = collections.Counter(event.data.content_hash for event in of(sent, events.ClipRegistered))
    reposts = int((clips.unit != np.arange(len(clips.unit)))[clips.published].sum())
    assert sum(n - 1 for n in shared.values()) == reposts > 0


def test_votes_compare_clips_of_one_prompt_by_different_models(sent: list[Event]) -> None:
    clip = {event.data.impression_id: event.data.clip_id for event in of(sent, events.Impression)}
    made = {event.data.clip_id: event.data for event in of(sent, events.ClipRegistered)}
    votes = of(sent, events.Voted)
    assert len(votes) == 20
    for vote in votes:
        left, right = (made[clip[name]] for name in (vote.data.left_impression_id, vote.data.right_impression_id))
        assert left.prompt == right.prompt
        assert left.model != right.model


def test_conversions_come_as_often_as_asked(sent: list[Event]) -> None:
    human = int((~traffic().log.bot).sum())
    assert len(of(sent, events.Converted)) == pytest.approx(0.05 * human, rel=0.25)
    assert of(list(traffic(conversions=0.0).events()), events.Converted) == []


def test_impressions_are_signed_when_there_is_a_secret() -> None:
    signing = Signing("default", "k1", b"secret", int(NOW.timestamp()) + 60)
    shown = of(list(traffic(signing=signing).events()), events.Impression)
    trusts = {impression_trust("default", event.data, {"k1": b"secret"}, NOW.timestamp()) for event in shown}
    assert trusts == {"token"}


def test_truth_survives_its_file_and_names_what_the_events_name(tmp_path: Path, sent: list[Event]) -> None:
    truth = truth_of(traffic())
    write_truth(truth, tmp_path / "truth.json")
    assert read_truth(tmp_path / "truth.json") == truth
    assert [model.rank for model in truth.models] == [1, 2, 3, 4, 5]
    assert [model.expected_label for model in truth.models] == sorted(
        (model.expected_label for model in truth.models), reverse=True
    )
    made = {event.data.prompt.hash: event.data.prompt.text for event in of(sent, events.ClipRegistered)}
    told = {prompt.prompt_id: prompt.text for prompt in truth.prompts}
    assert made.items() <= told.items()
    releases = {(event.data.model.name, event.data.model.version) for event in of(sent, events.ClipRegistered)}
    assert releases == {(model.name, model.version) for model in truth.models}


def test_a_file_that_is_no_truth_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "truth.json").write_text("{}")
    for name in ("truth.json", "missing.json"):
        with pytest.raises(InputError, match=name):
            read_truth(tmp_path / name)


def test_prompts_differ_and_read_alike_for_the_same_seed() -> None:
    topics, templates = [i % 12 for i in range(3000)], [i % 70 for i in range(3000)]
    prompts = write_prompts(topics, templates, seed=1)
    assert len({prompt.text for prompt in prompts}) == 3000
    assert prompts == write_prompts(topics, templates, seed=1)
    assert [prompt.text for prompt in prompts] != [prompt.text for prompt in write_prompts(topics, templates, seed=2)]
    assert len({prompt.template for prompt in prompts}) == 70
    assert len({prompt.scenario for prompt in prompts}) == 12


@pytest.mark.parametrize(("size", "field"), [({"n_prompts": 1}, "prompts"), ({"n_sessions": 5}, "sessions")])
def test_a_world_with_empty_days_is_refused(size: dict[str, int], field: str) -> None:
    with pytest.raises(InputError, match=field):
        traffic(config=WorldConfig(**{"n_viewers": 50} | size))


def test_the_number_of_events_is_known_before_they_are_made(sent: list[Event]) -> None:
    plan = traffic(votes=20)
    assert plan.n_events == len(sent) - len(of(sent, events.Converted))


def test_registrations_and_engagement_are_all(sent: list[Event]) -> None:
    plan = traffic(votes=20, conversions=0.05)
    assert [*plan.registrations(), *plan.engagement()] == sent
