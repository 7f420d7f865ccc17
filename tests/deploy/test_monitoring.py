"""Alert rules, dashboard and scrape settings: their own tools, the code, and a Prometheus beside a real service."""

import json
import re
import runpy
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.deploy.files import ALERTS, DASHBOARD, DEPLOY, ROOT, run, tool
from tests.e2e.running import RunningService
from tests.support.ports import free_port
from tests.support.waiting import until

RULES = yaml.safe_load(ALERTS.read_text())["groups"][0]["rules"]
CASES: dict[str, dict[str, str]] = yaml.safe_load((Path(__file__).parent / "alert_cases.yml").read_text())
HEALTHY = {
    'up{job="clapometer-collector"}': "1x100",
    'up{job="clapometer-loader"}': "1x100",
    'up{job="clapometer-scheduler"}': "1x100",
    'up{job="clapometer-serving"}': "1x100",
    'clapometer_collector_requests_total{status="202"}': "0+90x100",
    'clapometer_collector_events_total{verdict="accepted"}': "0+90x100",
    "clapometer_collector_append_failures_total": "0x100",
    'clapometer_collector_answer_seconds_bucket{le="0.05"}': "0+90x100",
    'clapometer_collector_answer_seconds_bucket{le="+Inf"}': "0+90x100",
    "clapometer_collector_log_fill_ratio": "0.1x100",
    "clapometer_loader_last_look_timestamp_seconds": "0+30x100",
    'clapometer_loader_events_total{verdict="stored"}': "0+90x100",
    'clapometer_loader_rejected_total{reason="unknown_type"}': "0+1x100",
    "clapometer_loader_failures_total": "0x100",
    "clapometer_loader_lag_seconds": "0x100",
    'clapometer_serving_requests_total{status="200"}': "0+90x100",
    "clapometer_serving_lake_age_seconds": "1x100",
    "clapometer_serving_tenants_failing": "0x100",
    "clapometer_serving_ranking_age_seconds": "900x100",
}
NAME = re.compile(r"\b(?:clapometer|process)_[a-z_]+\b")


def panels() -> list[dict[str, Any]]:
    return [each for each in json.loads(DASHBOARD.read_text())["panels"] if each["type"] != "row"]


def queries() -> list[str]:
    """Returns every query of the dashboard, over a minute."""
    return [target["expr"].replace("$__rate_interval", "1m") for panel in panels() for target in panel["targets"]]


def exported() -> set[str]:
    """Returns the names under which the processes export their metrics."""
    reference = runpy.run_path(str(ROOT / "scripts" / "telemetry_reference.py"))
    families = [family for part in reference["PARTS"].values() for family in reference["families"](part)]
    names = {sample.name for family in families for sample in family.samples}
    return {name for name in names if not name.endswith("_created")}


def test_rules_and_dashboard_ask_only_for_metrics_that_the_processes_export() -> None:
    named = {name for text in [rule["expr"] for rule in RULES] + queries() for name in NAME.findall(text)}
    assert named
    assert named - exported() == set()


def test_every_metric_of_ours_is_on_the_dashboard_or_in_a_rule() -> None:
    shown = {name for text in [rule["expr"] for rule in RULES] + queries() for name in NAME.findall(text)}
    ours = {re.sub(r"_(bucket|count|sum)$", "", name) for name in exported() if name.startswith("clapometer_")}
    missing = ours - {re.sub(r"_bucket$", "", name) for name in shown}
    assert missing == {"clapometer_collector_body_bytes_total", "clapometer_trainer_last_tick_timestamp_seconds"}


def test_every_alert_has_a_section_of_the_runbook_and_every_section_an_alert() -> None:
    alerts = [rule["alert"] for rule in RULES]
    sections = re.findall(r"^### (\S+)$", (ROOT / "docs" / "how-to" / "runbook.md").read_text(), re.MULTILINE)
    assert sections == alerts
    links = [rule["annotations"]["runbook"] for rule in RULES]
    assert links == [f"docs/how-to/runbook.md#{alert.lower()}" for alert in alerts]


@pytest.mark.parametrize("file", ["prometheus/prometheus.yml", "systemd/prometheus.yml"])
def test_prometheus_takes_the_scrape_settings_and_rules(file: str, tmp_path: Path) -> None:
    (tmp_path / "prometheus.yml").write_text((DEPLOY / file).read_text())
    (tmp_path / "alerts.yml").write_text(ALERTS.read_text())
    run(tool("promtool"), "check", "config", "--lint=all", tmp_path / "prometheus.yml")


def fires(tmp_path: Path, series: dict[str, str]) -> set[str]:
    """Returns the alerts that fire after 40 minutes of these series."""
    cases = [
        {
            "interval": "30s",
            "input_series": [{"series": name, "values": values} for name, values in series.items()],
            "alert_rule_test": [{"eval_time": "40m", "alertname": rule["alert"]}],
        }
        for rule in RULES
    ]
    file = tmp_path / "cases.yml"
    file.write_text(yaml.safe_dump({"rule_files": [str(ALERTS)], "evaluation_interval": "30s", "tests": cases}))
    done = subprocess.run(
        [tool("promtool"), "test", "rules", file], capture_output=True, text=True, check=False, timeout=300
    )
    said = done.stdout + done.stderr
    found = set(re.findall(r"alertname: (\w+), time: 40m", said))
    assert bool(found) == bool(done.returncode), said
    return found


def test_no_alert_fires_where_all_is_well(tmp_path: Path) -> None:
    assert fires(tmp_path, HEALTHY) == set()


def test_alerts_tell_of_parts_that_nobody_knows_of(tmp_path: Path) -> None:
    gone = {name: values for name, values in HEALTHY.items() if not name.startswith("up")}
    assert fires(tmp_path, gone) == {"ClapometerCollectorDown", "ClapometerLoaderDown", "ClapometerServingDown"}


@pytest.mark.parametrize("alert", [rule["alert"] for rule in RULES])
def test_an_alert_fires_when_it_should_and_no_other_does(alert: str, tmp_path: Path) -> None:
    assert fires(tmp_path, {**HEALTHY, **CASES[alert]}) == {alert}


@pytest.fixture
def service(tmp_path: Path) -> Iterator[RunningService]:
    running = RunningService(
        tmp_path, loader_port=free_port(), scheduler_port=free_port(), schedule="2s", explore_share=0.5
    )
    running.start("serving")
    yield running
    running.stop()


@pytest.fixture
def prometheus(service: RunningService, tmp_path: Path) -> Iterator[str]:
    """A Prometheus with our rules and scrape settings, whose targets are the parts of the running service."""
    folder = tmp_path / "prometheus"
    folder.mkdir()
    (folder / "alerts.yml").write_text(ALERTS.read_text())
    text = (DEPLOY / "systemd" / "prometheus.yml").read_text().replace("scrape_interval: 15s", "scrape_interval: 1s")
    env = service.environment
    for usual, name in ((8480, "COLLECTOR"), (8481, "SERVING"), (8482, "LOADER"), (8483, "SCHEDULER")):
        text = text.replace(f"localhost:{usual}", f"127.0.0.1:{env[f'CLAPOMETER_{name}_PORT']}")
    (folder / "prometheus.yml").write_text(text)
    address = f"127.0.0.1:{free_port()}"
    with (folder / "log").open("wb") as output:
        process = subprocess.Popen(
            [tool("prometheus"), f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'data'}",
             f"--web.listen-address={address}"], stdout=output, stderr=output,
        )  # fmt: skip
    yield f"http://{address}"
    process.terminate()
    process.wait(300)


def asked(address: str, path: str, **parameters: str) -> Any:
    """Returns what Prometheus answers, or None while it does not."""
    try:
        with urllib.request.urlopen(
            f"{address}/api/v1/{path}?{urllib.parse.urlencode(parameters)}", timeout=120
        ) as answer:
            return json.load(answer)["data"]
    except OSError:
        return None


def traffic(service: RunningService) -> None:
    """Sends one of everything that is counted by a label."""
    key = service.secret_key()
    about = {"specversion": "1.0", "source": "/test", "time": "2026-01-01T00:00:00Z"}
    clip = {
        "clip_id": "c",
        "prompt": {"text": "a cat"},
        "model": {"name": "m", "version": "1"},
        "duration_ms": 5000,
        "task": "t2v",
    }
    shown = {"impression_id": "i", "clip_id": "c", "viewer_id": "v"}
    events = [
        {**about, "id": "1", "type": "clapometer.clip_registered.v1", "data": clip},
        {**about, "id": "2", "type": "clapometer.impression.v1", "data": shown},
        {**about, "id": "3", "type": "clapometer.nonsense.v1", "data": {}},
    ]
    assert service.post("/v1/events", key, events)["accepted"] == 2
    candidates = [f"c{number}" for number in range(20)]
    service.post("/v1/slates", key, {"viewer_id": "v", "candidates": candidates, "slots": 20}, serving=True)
    asked(service.serving, "nothing")


def test_a_real_prometheus_reads_a_real_service_through_every_rule_and_every_panel(
    service: RunningService, prometheus: str
) -> None:
    traffic(service)

    def empty() -> list[str]:
        return [query for query in queries() if not (asked(prometheus, "query", query=query) or {}).get("result")]

    until(lambda: (asked(prometheus, "query", query="min(up)") or {"result": [[]]})["result"], every=0.5)
    until(lambda: not empty(), every=1.0)
    targets = asked(prometheus, "targets")["activeTargets"]
    assert {target["labels"]["job"]: target["health"] for target in targets} == {
        f"clapometer-{part}": "up" for part in ("collector", "loader", "scheduler", "serving")
    }
    until(lambda: all(rule["health"] == "ok" for rule in loaded(prometheus)), every=1.0)
    assert {rule["name"] for rule in loaded(prometheus)} == {rule["alert"] for rule in RULES}
    assert {rule["name"] for rule in loaded(prometheus) if rule["state"] == "firing"} == set()


def loaded(prometheus: str) -> list[dict[str, Any]]:
    """Returns the rules as Prometheus last evaluated them."""
    return [rule for group in asked(prometheus, "rules")["groups"] for rule in group["rules"]]
