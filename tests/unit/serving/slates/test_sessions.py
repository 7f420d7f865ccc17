"""Vouchers: a page asks for slates only for the viewer, and of the clips, that the platform's server vouched for."""

import base64
import datetime as dt
import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs
from tests.unit.serving.running import (
    OF_A_PAGE,
    OTHER_PUBLISHABLE,
    OTHER_SECRET,
    PUBLISHABLE,
    SECRET,
    TOKEN_ID,
    TOKEN_SECRET,
    Serving,
)

from clapometer.domain import InputError, Session, impression_trust, read_voucher, sign_session
from clapometer.domain.events import Experiment, ImpressionData
from clapometer.gate import Rates
from clapometer.lake.tables import Lake
from clapometer.serving.metrics import ServingMetrics

CLIPS = ["c1", "c2", "c3"]
ARM = {"id": "layout", "variant": "wide"}
KEYS = {"k": b"secret"}
sessions = st.builds(
    Session,
    viewer_id=st.text(min_size=1, max_size=9),
    session_id=st.text(min_size=1, max_size=9),
    candidates=st.text("abc", min_size=1, max_size=3),
    surface=st.none() | st.text(min_size=1, max_size=3),
    experiment=st.lists(st.builds(Experiment, id=st.text(min_size=1, max_size=3), variant=st.just("a")), max_size=2),
)


def altered(voucher: str, **change: Any) -> str:
    """Returns a voucher whose session says something else, with the signature that it had."""
    parts = voucher.split(".")
    session = json.loads(base64.urlsafe_b64decode(parts[3] + "=="))
    parts[3] = base64.urlsafe_b64encode(json.dumps(session | change).encode()).decode().rstrip("=")
    return ".".join(parts)


def test_a_page_with_a_voucher_gets_slates_for_its_viewer_whose_tokens_hold(serving: Serving) -> None:
    voucher = serving.voucher(candidates=CLIPS, session_id="s1", surface="feed", experiment=[ARM])
    for _ in range(2):  # the page of a session asks more than once
        answer = serving.slate(PUBLISHABLE, voucher, candidates=CLIPS[::-1], surface="feed")
        assert answer.status_code == 200
        slate = answer.json()
        assert (slate["viewer_id"], slate["session_id"], slate["experiment"]) == ("v1", "s1", [ARM])
        context = {name: slate[name] for name in ("viewer_id", "session_id", "experiment", "surface")}
        for slot in slate["slots"]:
            data = msgspec.convert({**slot, **context}, ImpressionData)
            now = serving.now.timestamp()
            assert impression_trust("default", data, {TOKEN_ID: TOKEN_SECRET}, now) == "token"
            for name, claimed in (("experiment", None), ("session_id", "s2"), ("surface", "search")):
                elsewhere = msgspec.structs.replace(data, **{name: claimed})
                assert impression_trust("default", elsewhere, {TOKEN_ID: TOKEN_SECRET}, now) == "misplaced"


def test_a_page_whose_session_has_no_surface_and_no_experiment_cannot_name_any(serving: Serving) -> None:
    slate = serving.slate(PUBLISHABLE, serving.voucher(candidates=CLIPS), candidates=CLIPS).json()
    assert (slate["surface"], slate["experiment"]) == (None, [])
    for slot in slate["slots"]:
        data = msgspec.convert({**slot, "viewer_id": "v1", "session_id": slate["session_id"]}, ImpressionData)
        for change, trust in (({}, "token"), ({"surface": "mine"}, "misplaced"), ({"experiment": [ARM]}, "misplaced")):
            shown = msgspec.convert({**msgspec.to_builtins(data), **change}, ImpressionData)
            assert impression_trust("default", shown, {TOKEN_ID: TOKEN_SECRET}, serving.now.timestamp()) == trust


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"viewer_id": "v2"}, "another viewer_id"),
        ({"session_id": "s2"}, "another session_id"),
        ({"surface": "mine"}, "another surface"),
        ({"experiment": [ARM]}, "another experiment"),
        ({"candidates": ["c1"]}, "other candidates"),
        ({"candidates": [*CLIPS, "c4"]}, "other candidates"),
        ({"policy": "uniform"}, "the policy is the platform's"),
    ],
)
def test_a_page_asks_for_nothing_that_its_voucher_does_not_say(
    serving: Serving, change: dict[str, Any], said: str
) -> None:
    voucher = serving.voucher(candidates=CLIPS, session_id="s1")
    answer = serving.slate(PUBLISHABLE, voucher, **{"candidates": CLIPS, **change})
    assert answer.status_code == 403
    assert said in answer.json()["detail"]


def test_a_voucher_that_the_platform_did_not_give_is_refused(serving: Serving) -> None:
    good = serving.voucher(candidates=CLIPS)
    expires = int(serving.now.timestamp()) + 60
    session = Session(viewer_id="v1", session_id="s", candidates="x")
    forged = {
        "empty": "", "nonsense": "s1.a.b", "dots": "....", "another version": "s2" + good[2:],
        "another viewer": altered(good, viewer_id="v2"), "later": good.replace(str(expires + 3_540), "9" * 12),
        "another secret": sign_session("default", session, key_id=TOKEN_ID, secret=b"guess", expires=expires),
        "another tenant's": serving.voucher(OTHER_SECRET, candidates=CLIPS), "unknown secret": good.replace("t1", "t2"),
        "a token": serving.slate(candidates=CLIPS).json()["slots"][0]["token"], "cut": good[:-1],
    }  # fmt: skip
    assert good not in forged.values()
    for name, voucher in forged.items():
        answer = serving.slate(PUBLISHABLE, voucher, candidates=CLIPS)
        assert (name, answer.status_code) == (name, 403)
        assert "the voucher does not hold" in answer.json()["detail"]
    assert serving.slate(OTHER_PUBLISHABLE, good, candidates=CLIPS).status_code == 403
    assert serving.slate(PUBLISHABLE, good, candidates=CLIPS).status_code == 200
    assert serving.slate(SECRET, forged["another viewer"], candidates=CLIPS).status_code == 403


def test_a_page_without_a_voucher_is_told_where_to_get_one(serving: Serving) -> None:
    answer = serving.slate(PUBLISHABLE, candidates=CLIPS)
    assert answer.status_code == 403
    assert "POST /v1/sessions" in answer.json()["detail"]


def test_two_vouchers_in_one_request_are_refused(serving: Serving) -> None:
    voucher = serving.voucher(candidates=CLIPS)
    headers = [("authorization", f"Bearer {PUBLISHABLE}"), *[("clapometer-voucher", voucher)] * 2]
    answer = serving.http.post("/v1/slates", json={"viewer_id": "v1", "candidates": CLIPS}, headers=headers)
    assert answer.status_code == 400


def test_a_voucher_ends_with_its_time_and_with_its_secret(start: Callable[..., Serving], lake: Lake) -> None:
    serving = start(lake.storage.published)
    old = serving.voucher(candidates=CLIPS)
    serving.secrets["t9"] = b"the secret that signs after a rotation"
    new = serving.voucher(candidates=CLIPS)
    assert [one.split(".")[1] for one in (old, new)] == [TOKEN_ID, "t9"]
    assert [serving.slate(PUBLISHABLE, one, candidates=CLIPS).status_code for one in (old, new)] == [200, 200]
    del serving.secrets[TOKEN_ID]
    assert [serving.slate(PUBLISHABLE, one, candidates=CLIPS).status_code for one in (old, new)] == [403, 200]
    serving.now += dt.timedelta(seconds=3_599)
    assert serving.slate(PUBLISHABLE, new, candidates=CLIPS).status_code == 200
    serving.now += dt.timedelta(seconds=1)
    answer = serving.slate(PUBLISHABLE, new, candidates=CLIPS)
    assert answer.status_code == 403
    assert "it has expired" in answer.json()["detail"]


@pytest.mark.parametrize(("key", "status"), [(None, 401), (PUBLISHABLE, 403), ("csk_wrong", 401)])
def test_only_a_secret_key_vouches(serving: Serving, key: str | None, status: int) -> None:
    headers = {} if key is None else {"authorization": f"Bearer {key}"}
    body = {"viewer_id": "v1", "candidates": CLIPS}
    assert serving.http.post("/v1/sessions", json=body, headers=headers).status_code == status


@pytest.mark.parametrize(
    ("change", "field", "reason"),
    [
        ({"viewer_id": None}, "viewer_id", "send a string"),
        ({"candidates": []}, "candidates", "of length at least 1"),
        ({"candidates": ["c"] * 2}, "candidates", "twice"),
        ({"candidates": [f"c{i}" for i in range(501)]}, "candidates", "at most 500"),
        ({"experiment": [{"id": "e"}]}, "experiment[0].variant", ""),
        ({"slots": 3}, "slots", "unknown field; remove it"),
    ],
)
def test_a_bad_session_is_told_which_field_is_wrong(
    serving: Serving, change: dict[str, Any], field: str, reason: str
) -> None:
    body = {"viewer_id": "v1", "candidates": CLIPS, **change}
    answer = serving.http.post("/v1/sessions", json=body, headers={"authorization": f"Bearer {SECRET}"})
    assert (answer.status_code, answer.json()["field"]) == (422, field)
    assert reason in answer.json()["detail"]


def test_pages_of_other_origins_may_ask_for_slates_and_read_why_not(serving: Serving) -> None:
    asked = {"origin": "https://player.example", "access-control-request-headers": "authorization, clapometer-voucher"}
    before = serving.http.options("/v1/slates", headers=asked)
    assert (before.status_code, before.headers["access-control-allow-origin"]) == (204, "*")
    assert "clapometer-voucher" in before.headers["access-control-allow-headers"]
    answer = serving.http.post(
        "/v1/slates", json={}, headers={"origin": "https://x.example", "authorization": f"Bearer {PUBLISHABLE}"}
    )
    assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (422, "*")
    for path in ("/v1/sessions", "/v1/rankings/prompts", "/"):
        assert "access-control-allow-origin" not in serving.http.get(path, headers=asked).headers


def test_a_key_of_one_page_asks_from_no_other(serving: Serving) -> None:
    voucher = serving.voucher(candidates=CLIPS)
    for origin, status in (("https://player.example", 200), ("https://other.example", 403), (None, 200)):
        headers = {"authorization": f"Bearer {OF_A_PAGE}", "clapometer-voucher": voucher}
        answer = serving.http.post(
            "/v1/slates", json={"viewer_id": "v1", "candidates": CLIPS},
            headers=headers if origin is None else {**headers, "origin": origin},
        )  # fmt: skip
        assert (origin, answer.status_code) == (origin, status)


def test_slates_are_rated_by_viewer_whoever_asks_and_by_the_address_of_pages(
    start: Callable[..., Serving], lake: Lake
) -> None:
    rates = Rates({"slates_viewer": "3/day", "slates_address": "5/day"})
    serving = start(lake.storage.published, rates=rates)
    vouchers = [serving.voucher(viewer_id=f"v{n}", candidates=CLIPS) for n in range(3)]

    def asked(n: int) -> int:
        return serving.slate(PUBLISHABLE, vouchers[n], viewer_id=f"v{n}", candidates=CLIPS).status_code

    assert [asked(0) for _ in range(4)] == [200, 200, 200, 429]
    assert [asked(1) for _ in range(3)] == [200, 200, 429]  # the address has had five
    assert asked(2) == 429
    answers = [serving.slate(viewer_id="v2", candidates=CLIPS) for _ in range(4)]  # a server has one address for all
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert 86_000 <= int(answers[-1].headers["retry-after"]) <= 86_401
    assert "viewer" in answers[-1].json()["detail"]
    assert serving.slate(OTHER_SECRET, viewer_id="v2", candidates=CLIPS).status_code == 200
    shown = serving.get("/metrics").text
    assert 'clapometer_serving_limited_slates_total{by="viewer"} 2.0' in shown
    assert 'clapometer_serving_limited_slates_total{by="address"} 2.0' in shown


def test_slates_that_are_refused_are_told_at_once_and_then_now_and_then() -> None:
    now = [0.0]
    metrics = ServingMetrics(CollectorRegistry(), lambda: None, lambda: now[0])
    with capture_logs() as lines:
        for now[0] in (0, 1, 9.9, 10.1):
            metrics.slate_limited("viewer")
        metrics.slate_limited("address")
    assert [(line["by"], line["since_last_line"]) for line in lines] == [("viewer", 1), ("viewer", 3), ("address", 1)]


@given(sessions, sessions)
def test_a_voucher_says_what_was_signed_and_nothing_else(one: Session, other: Session) -> None:
    voucher = sign_session("t", one, key_id="k", secret=KEYS["k"], expires=100)
    assert read_voucher("t", voucher, KEYS, 99) == one
    parts = voucher.split(".")
    exchanged = sign_session("t", other, key_id="k", secret=b"guess", expires=100).split(".")[3]
    for tenant, keys, now, text in (
        ("rival", KEYS, 99, voucher), ("t", {"k": b"another"}, 99, voucher), ("t", {}, 99, voucher),
        ("t", KEYS, 100, voucher), ("t", KEYS, 99, ".".join([*parts[:3], exchanged + "x", parts[4]])),
    ):  # fmt: skip
        with pytest.raises(InputError):
            read_voucher(tenant, text, keys, now)


@given(st.text(max_size=60) | st.lists(st.text(max_size=6), max_size=7).map(".".join))
def test_no_text_makes_the_check_of_vouchers_fail(text: str) -> None:
    for voucher in (text, f"s1.k.{text}", f"s1.k.1.{text}"):
        with pytest.raises(InputError):
            read_voucher("t", voucher, KEYS, 0)
