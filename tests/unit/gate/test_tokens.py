"""Secrets of impression tokens survive restarts, races and rotation."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from clapometer.domain import InputError, NotFoundError
from clapometer.gate.tokens import TokenRing, load_token_secrets, retire_token_secret, rotate_token_secrets


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


def test_who_signs_and_who_verifies_follow_a_rotation_without_a_restart(tmp_path: Path) -> None:
    path, clock = tmp_path / "tokens.json", [0.0]
    signer, verifier = TokenRing(path, lambda: clock[0]), TokenRing(path, lambda: clock[0])
    old, secret = signer.signing()
    rotate_token_secrets(path)
    assert signer.signing() == (old, secret)  # looked at less than a second ago
    clock[0] += 1.1
    new, fresh = signer.signing()
    assert new != old
    assert (verifier[old], old in verifier, new in verifier, verifier[new]) == (secret, True, True, fresh)
    assert dict(verifier) == {old: secret, new: fresh}


def test_a_token_of_a_secret_that_was_made_this_instant_is_verified(tmp_path: Path) -> None:
    path = tmp_path / "tokens.json"
    verifier = TokenRing(path, lambda: 0.0)
    assert "unknown" not in verifier
    assert rotate_token_secrets(path).current in verifier


def test_a_retired_secret_verifies_no_more(tmp_path: Path) -> None:
    path, clock = tmp_path / "tokens.json", [0.0]
    old = load_token_secrets(path).current
    ring = TokenRing(path, lambda: clock[0])
    rotate_token_secrets(path)
    retire_token_secret(path, old)
    clock[0] += 1.1
    assert old not in ring
    assert len(ring) == 1


def test_the_secret_that_signs_cannot_be_retired(tmp_path: Path) -> None:
    path = tmp_path / "tokens.json"
    current = load_token_secrets(path).current
    with pytest.raises(InputError, match=f"'{current}' signs now; `clapometer keys rotate-tokens` first"):
        retire_token_secret(path, current)


def test_a_secret_that_is_not_there_is_told_with_the_one_that_is(tmp_path: Path) -> None:
    path = tmp_path / "tokens.json"
    current = load_token_secrets(path).current
    with pytest.raises(NotFoundError, match=f"no secret of tokens has the id 'nonsense'; did you mean `{current}`"):
        retire_token_secret(path, "nonsense")


def test_a_file_that_breaks_leaves_the_last_secrets_in_force(tmp_path: Path) -> None:
    path, clock = tmp_path / "tokens.json", [0.0]
    ring = TokenRing(path, lambda: clock[0])
    known = ring.signing()
    path.write_text("{")
    clock[0] += 1.1
    assert ring.signing() == known
    assert "holds no token secrets" in str(ring.error)
