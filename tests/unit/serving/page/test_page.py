"""The page's HTML; what a browser makes of it is tested in ``tests/e2e/test_page.py``."""

import datetime as dt
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest
from tests.unit.serving.running import SECRET, Serving
from tests.unit.serving.sample_lake import EVIL, add_failed_run, add_pipeline, add_run

from clapometer.audit.findings import AuditReport, Finding
from clapometer.audit.record import record_attack
from clapometer.domain import Exclusion
from clapometer.lake.published.publish import publish
from clapometer.lake.tables import Lake
from clapometer.serving.wording import set_aside
from clapometer.training.evidence.screening import ORPHANS


class Tags(HTMLParser):
    """Collects the tags and links of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value for name, value in attributes if name in {"href", "src"} and value]


def words(html: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html))


def test_before_the_first_run_the_page_says_what_to_do(tmp_path: Path, start: Callable[..., Serving]) -> None:
    lake = Lake(tmp_path / "lake")
    server = start(lake.storage.published)
    for _ in ("no file", "an empty lake"):
        answer = server.get("/")
        assert answer.status_code == 200
        assert "clapometer train" in answer.text
        publish(lake)
    add_pipeline(lake)
    publish(lake)
    assert "events are in the lake already: the next step is 3" in words(server.get("/").text)


def test_prompts_cannot_become_markup(serving: Serving) -> None:
    for path in ("/", "/?subject=prompts", "/?subject=prompts&offset=25"):
        html = serving.get(path).text
        assert "<script>document" not in html
        assert "</sc" + "ript>{{7" not in html
        assert Tags(html).tags.count("script") == len(re.findall(r'-spec">', html)) + 2
    assert "&lt;script&gt;document.title=&#39;owned&#39;&lt;/script&gt;{{7*7}}" in serving.get("/?subject=prompts").text


def test_parameters_cannot_become_markup(serving: Serving) -> None:
    for name in ("task", "run", "as_of", "subject"):
        answer = serving.http.get("/", params={name: EVIL})
        assert answer.status_code in {404, 422}
        if answer.headers["content-type"].startswith("text/html"):
            assert "<script>document" not in answer.text
        assert answer.headers["x-content-type-options"] == "nosniff"


def test_every_link_of_the_page_leads_somewhere(serving: Serving) -> None:
    seen: set[str] = set()
    todo = [""]
    while todo:
        path = todo.pop()
        answer = serving.get(f"/{path}")
        assert answer.status_code == 200, path
        if answer.headers["content-type"].startswith("text/html"):
            links = {link.partition("#")[0] for link in Tags(answer.text).links}
            assert not [link for link in links if "//" in link], "nothing comes from elsewhere"
            new = {link for link in links if link} - seen
            seen |= new
            todo += new
    assert {"?subject=prompts", "?task=t2v", "?subject=prompts&offset=25", "?run=run-old"} <= seen


def test_warnings_are_in_plain_words(tmp_path: Path, start: Callable[..., Serving]) -> None:
    lake = Lake(tmp_path / "lake")
    add_run(lake, "run-c", tier="C", calibrated=False)
    add_failed_run(lake, "run-x", f"no outcomes: {EVIL}")
    publish(lake)
    html = start(lake.storage.published).get("/").text
    assert "Tier C: no logged exposure; these intervals are not calibrated." in words(html)
    assert "Last good ranking. The newest run failed" in words(html)
    assert "P(best)" in words(html)
    assert not re.findall(r'<td class="n">\d+ %</td>', html), "nobody knows the chances of being the best"
    assert "comes first, but how sure that is cannot be told" in words(html)
    assert not re.findall(r'class="(?:n|interval) (?:above|below)"', html), "nothing is claimed without logged exposure"
    assert "<script>document" not in html


def test_a_segment_that_was_not_computed_is_explained_with_those_that_were(serving: Serving) -> None:
    answer = serving.get("/?task=edit")
    assert answer.status_code == 422
    assert "it has i2v, t2v" in words(answer.text)
    assert "?task=t2v" in Tags(answer.text).links


def test_a_run_that_is_not_there_is_explained(serving: Serving) -> None:
    answer = serving.get("/?run=gone")
    assert answer.status_code == 404
    assert "there is no successful run &#39;gone&#39;" in answer.text


def test_the_state_of_the_pipeline_is_shown(serving: Serving) -> None:
    text = words(serving.get("/").text)
    for label in ("Received", "Stored", "Duplicates", "Rejected", "Unaccounted for 0", "Newest event", "Last runs"):
        assert label in text
    assert "Weigh nothing" in text


def test_what_senders_wrote_is_shown_only_to_who_has_a_key(serving: Serving) -> None:
    public, known = serving.get("/").text, serving.get("/", SECRET).text
    assert "an event type that does not exist" in public
    assert "an event type that does not exist" in known
    for written in ("clapometer.liked.v1", "data.propensity", "/app"):
        assert written not in public
        assert written in known


def test_a_ranking_tells_how_to_ask_the_lake_for_it(serving: Serving, lake: Lake) -> None:
    html = serving.get("/?task=t2v").text
    (query,) = re.findall(r"<code>(SELECT item, .*?)</code>", html)
    with lake.connect() as connection:
        found = connection.sql(query.replace("&#39;", "'")).to_arrow_table()
    assert found.num_rows == 7


@pytest.mark.parametrize("path", ["/", "/?subject=templates"])
def test_the_page_without_scripts_has_every_number(serving: Serving, path: str) -> None:
    html = serving.get(path).text
    subject = "templates" if "templates" in path else "model_versions"
    for row in serving.get(f"/v1/rankings/{subject}").json()["rows"]:
        assert f"{row['effect_low']:+.3f}".replace("-", "−") in html


def test_a_lake_much_changed_is_seen_at_the_next_look(own_lake: Lake, start: Callable[..., Serving]) -> None:
    server = start(own_lake.storage.published)
    assert "run-newest" not in server.get("/").text
    add_run(own_lake, "run-newest")
    publish(own_lake)
    assert "run-newest" in server.get("/").text


def test_what_can_be_bought_is_not_measured_yet_or_told_with_its_run_and_date(
    own_lake: Lake, start: Callable[..., Serving]
) -> None:
    server = start(own_lake.storage.published)
    assert "Not measured yet: clapometer audit --attack --tenant default" in words(server.get("/").text)
    found = [
        Finding(check="attack", subject="dates", status="passed", found="no effect: of 612 events 612 are nothing"),
        Finding(check="attack", subject="votes", status="failed", found="25 viewers turn the top", advice="vouch"),
        Finding(check="placebo", status="failed", found="intervals are too narrow"),
    ]
    for run, when in (("run-older", 1), ("run-later", 2)):
        report = AuditReport(run_id=run, tenant="default", tier="B", alarm_rate=0.01, findings=found)
        record_attack(own_lake, report, dt.datetime(2026, 3, when, tzinfo=dt.UTC))
    page = words(server.get("/").text)
    assert "2026-03-02" in page
    assert "run-later" in page
    assert "run-older" not in page
    assert page.index("votes for sale 25 viewers turn the top") < page.index("dates passed no effect: of 612 events")
    assert "intervals are too narrow" not in page


def test_a_withheld_verdict_says_by_how_few_viewers_it_could_be_bought(
    own_lake: Lake, start: Callable[..., Serving]
) -> None:
    add_run(own_lake, "run-newest", verdict="explore", withheld_verdict="keep", viewers_to_buy=34)
    publish(own_lake)
    assert "keep is withheld: could be bought by 34 viewers" in words(start(own_lake.storage.published).get("/").text)


def test_the_page_of_votes_has_its_own_words_units_and_counts(serving: Serving) -> None:
    html = serving.get("/?evidence=votes").text
    page = words(html)
    for said in ("520 votes", "log-odds to win a vote", "Strength", "Chance to win", "Votes", "Voters", "58"):
        assert said in page
    assert "(3 votes)" in page
    main = page.partition("What made this ranking")[0]
    for other in ("equal exposure", "Completion", "Impressions", "Likes", "impressions"):
        assert other not in main
    assert "slope-spec" not in html
    assert "evidence: votes" in page
    answer = serving.get("/v1/rankings/model_versions?evidence=votes").json()
    assert (answer["votes"], answer["impressions"]) == (520, None)
    assert {row["votes"] for row in answer["rows"]} == {260}


def test_what_a_run_set_aside_is_listed_with_what_it_means(serving: Serving) -> None:
    page = words(serving.get("/").text)
    assert "Impressions that this run did not count, of 631,204 in all, and why." in page
    assert "310 untrusted impression sent by a browser without a token" in page
    assert "128 a reason of tomorrow" in page
    assert "vote without trust" not in page.partition("What made this ranking")[0]
    by_votes = words(serving.get("/?evidence=votes").text).partition("What made this ranking")[0]
    assert "7 vote without trust" in by_votes
    assert "310" not in by_votes


def test_every_reason_for_which_a_run_sets_impressions_aside_has_words() -> None:
    ours = [*Exclusion, ORPHANS]
    found = set_aside(dict.fromkeys(ours, 1), votes=False)
    assert sorted(reason for _, reason, _ in found) == sorted(ours)
    assert all(meaning for _, _, meaning in found)
    (new,) = [meaning for _, reason, meaning in found if reason == Exclusion.NEW]
    assert "later runs count it" in new  # a person, as far as anybody knows
