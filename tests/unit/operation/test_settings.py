"""Settings that no service could work with are refused when they are read, by name, with the form that is wanted."""

import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner

from clapometer.cli.main import app
from clapometer.domain import InputError
from clapometer.settings import load_settings

SINGLE = [
    ("log", "kafka", "kafka://host:port/topic"),
    ("log", "embeded", "`embedded`"),
    ("lake", "gs://bucket/prefix", "s3://bucket/prefix"),
    ("lake", "s3://", "s3://bucket/prefix"),
    ("lake_endpoint", "minio:9000", "http://minio:9000"),
    ("host", "http://127.0.0.1", "without scheme and port"),
    ("host", "127.0.0.1:8480", "without scheme and port"),
    ("host", "127.0.0.256", "without scheme and port"),
    ("host", "[::1]", "::1"),
    ("host", "", "without scheme and port"),
    ("memory_limit", "lots", "2GB"),
    ("load_memory", "256", "256MB"),
    ("load_memory", "2 gigabytes", "256MB"),
    ("schedule", "15 minutes", "15m"),
    ("rate_publishable", "many", "1000/second"),
    ("rate_secret", "0/second", "1000/second"),
    ("rate_address", "10 per fortnight", "1000/second"),
    ("traces", "127.0.0.1:4318", "^https?://"),
]


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(("name", "value", "wanted"), SINGLE)
def test_a_value_that_fails_later_is_refused_at_once(
    name: str, value: str, wanted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"CLAPOMETER_{name.upper()}", value)
    with pytest.raises(InputError) as refused:
        load_settings()
    said = str(refused.value)
    assert said.startswith(f"{name}: ")
    assert wanted in said
    assert said.endswith(f"(from CLAPOMETER_{name.upper()})")


def test_origins_are_those_that_browsers_send(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLAPOMETER_ALLOWED_ORIGINS", '["*", "https://a.example"]')
    assert load_settings().allowed_origins == ("*", "https://a.example")
    monkeypatch.setenv("CLAPOMETER_ALLOWED_ORIGINS", '["https://a.example", "b.example"]')
    with pytest.raises(InputError, match=r"allowed_origins: 'b.example' .*did you mean https://b\.example\?"):
        load_settings()


def test_two_parts_cannot_have_one_port(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLAPOMETER_LOADER_PORT", "8480")
    with pytest.raises(InputError, match="loader_port and collector_port are both 8480"):
        load_settings()
    for name in ("COLLECTOR", "SERVING", "LOADER"):
        monkeypatch.setenv(f"CLAPOMETER_{name}_PORT", "0")
    assert load_settings().loader_port == 0


def test_what_right_settings_say_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    right = {
        "host": "::1", "memory_limit": "1.5GiB", "load_memory": "80%", "schedule": "0 9 * * 1", "lake": "s3://b/p",
        "lake_endpoint": "http://minio:9000", "rate_secret": "100 per 10 seconds; 100000/day",
        "log": "kafka://broker:9092/events",
    }  # fmt: skip
    for name, value in right.items():
        monkeypatch.setenv(f"CLAPOMETER_{name.upper()}", value)
    settings = load_settings()
    assert {name: str(getattr(settings, name)) for name in right} == right


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('label_rule = "nosuch.toml"', "label_rule: nosuch.toml cannot be read: No such file"),
        ('label_rule = "clapometer.toml"', "label_rule: clapometer.toml is no label rule"),
        ('log = "kafka://broker:9092/topic?nosuch=1"', "nosuch"),
        ('log = "kafka://broker/topic"', "host:port"),
    ],
)
def test_what_settings_refer_to_is_looked_at_before_up_starts_anything(line: str, said: str) -> None:
    assert tomllib.loads(line)
    Path("clapometer.toml").write_text(line)
    refused = CliRunner().invoke(app, ["up"])
    assert isinstance(refused.exception, InputError)
    assert said in str(refused.exception)
    assert sorted(path.name for path in Path().iterdir()) == ["clapometer.toml"]


def test_proxies_are_addresses_or_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLAPOMETER_TRUSTED_PROXIES", '["10.0.0.0/8", "::1"]')
    assert load_settings().trusted_proxies == ("10.0.0.0/8", "::1")
    monkeypatch.setenv("CLAPOMETER_TRUSTED_PROXIES", '["proxy.example"]')
    with pytest.raises(InputError, match=r"trusted_proxies.*give addresses such as 10\.0\.0\.7"):
        load_settings()
