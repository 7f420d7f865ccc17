"""Secrets of impression tokens survive restarts, races and rotation."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from clapometer.domain import InputError
from clapometer.token_secrets import load_token_secrets, rotate_token_secrets


def test_the_file_is_made_once_and_is_private(tmp_path: Path) -> None:
    path = tmp_path / "new" / "tokens.json"
    first = load_token_secrets(path)
    assert load_token_secrets(path) == first
    assert path.stat().st_mode & 0o777 == 0o600
    assert len(first.signing()[1]) == 32


def test_processes_that_start_together_agree_on_one_secret(tmp_path: Path) -> None:
    path = tmp_path / "tokens.json"
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: load_token_secrets(path), range(32)))
    assert len({secrets.current for secrets in found}) == 1
    assert sorted(tmp_path.iterdir()) == [path]


def test_rotation_signs_with_a_fresh_secret_and_still_verifies_with_the_old(tmp_path: Path) -> None:
    path = tmp_path / "tokens.json"
    old = load_token_secrets(path)
    new = rotate_token_secrets(path)
    assert new.current != old.current
    assert new.verifying()[old.current] == old.signing()[1]
    assert load_token_secrets(path) == new


@pytest.mark.parametrize("content", ["", "{}", '{"current":"a","keys":{}}', '{"current":"a","keys":{"a":"zz"}}'])
def test_a_file_without_secrets_is_refused_by_name(tmp_path: Path, content: str) -> None:
    path = tmp_path / "tokens.json"
    path.write_text(content)
    with pytest.raises(InputError, match=r"tokens_file: tokens\.json holds no token secrets"):
        load_token_secrets(path)
