"""``clapometer keys``: what is not right is refused when it is written, and can be mended afterwards."""

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from clapometer.cli.main import app
from clapometer.domain import InputError, NotFoundError
from clapometer.gate import load_keys

Keys = Callable[..., Result]


@pytest.fixture
def keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Keys:
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: CliRunner().invoke(app, ["keys", *arguments])


def made(keys: Keys, *options: str) -> str:
    """Returns the id of a new key."""
    return str(keys("new", *options).stdout).split("_")[1]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--origin", "example.com"), "origin: 'example.com' is sent by no browser"),
        (("--origin", "https://a.example", "--origin", "https://b.example/"), "did you mean https://b.example?"),
        (("--tenant", ""), "key: "),
        (("--tenant", "t" * 101), "key: "),
    ],
)
def test_a_key_that_would_not_work_is_refused_when_it_is_made(keys: Keys, options: tuple[str, ...], said: str) -> None:
    refused = keys("new", "--kind", "publishable", *options)
    assert isinstance(refused.exception, InputError)
    assert said in str(refused.exception)
    assert not Path("clapometer-keys.json").exists()


def test_too_many_days_are_refused(keys: Keys) -> None:
    assert keys("new", "--kind", "secret", "--days", "999999999").exit_code == 2


def test_a_key_is_edited_and_stays_the_same_key(keys: Keys) -> None:
    key = made(keys, "--kind", "publishable", "--origin", "https://a.example", "--days", "3", "--name", "web")
    (before,) = load_keys(Path("clapometer-keys.json"))
    done = keys("edit", key, "--origin", "https://b.example", "--origin", "http://localhost:3000", "--never-expires")
    assert done.stdout == f"{key}: origins https://b.example http://localhost:3000; never expires\n"
    (after,) = load_keys(Path("clapometer-keys.json"))
    assert (after.sha256, after.name, after.created) == (before.sha256, "web", before.created)
    assert (after.origins, after.expires) == (("https://b.example", "http://localhost:3000"), None)
    assert "origins any" in keys("edit", key, "--any-origin", "--name", "shop").stdout
    assert load_keys(Path("clapometer-keys.json"))[0].name == "shop"


@pytest.mark.parametrize(
    "options", [(), ("--origin", "b.example"), ("--origin", "https://b.example", "--any-origin"),
                ("--days", "3", "--never-expires")],
)  # fmt: skip
def test_an_edit_that_says_nothing_or_two_things_changes_nothing(keys: Keys, options: tuple[str, ...]) -> None:
    key = made(keys, "--kind", "publishable", "--origin", "https://a.example")
    before = load_keys(Path("clapometer-keys.json"))
    assert isinstance(keys("edit", key, *options).exception, InputError)
    assert load_keys(Path("clapometer-keys.json")) == before


@pytest.mark.parametrize("command", [("revoke",), ("rotate",), ("edit", "--name", "n")])
def test_an_id_that_no_key_has_is_told_with_those_that_are_nearest(keys: Keys, command: tuple[str, ...]) -> None:
    key = made(keys, "--kind", "secret")
    name, *options = command
    missing = keys(name, key[:-1] + "x", *options)
    assert isinstance(missing.exception, NotFoundError)
    assert f"did you mean `{key}`?" in str(missing.exception)


def test_a_whole_key_given_for_its_id_is_not_repeated(keys: Keys) -> None:
    key = keys("new", "--kind", "secret").stdout.strip()
    missing = keys("revoke", key)
    assert "give its id" in str(missing.exception)
    assert key not in str(missing.exception)


def test_a_secret_of_tokens_that_is_not_there_is_told(keys: Keys) -> None:
    first = keys("rotate-tokens").stdout.split()[0]
    assert f"`{first}`" in str(keys("retire-token", "zzz").exception)
    assert "signs now" in str(keys("retire-token", first).exception)
