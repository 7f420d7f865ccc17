"""API keys: what is stored of them, how they follow their file, and how they are replaced."""

import datetime as dt
from pathlib import Path

import msgspec
import pytest

from clapometer.domain import InputError, NotFoundError
from clapometer.gate import Credentials, DeniedError, Gate, KeyRing, load_keys, new_key, rotated, save_keys

NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


def test_a_new_key_is_shown_once_and_only_its_hash_is_kept(tmp_path: Path) -> None:
    key, record = new_key("publishable", now=NOW, tenant="acme", origins=["https://a.example"], name="web")
    assert key.startswith(f"cpk_{record.id}_")
    assert key.encode() not in msgspec.json.encode(record)
    save_keys(tmp_path / "keys.json", [record])
    assert load_keys(tmp_path / "keys.json") == (record,)
    assert (tmp_path / "keys.json").stat().st_mode & 0o077 == 0
    assert KeyRing(path=tmp_path / "keys.json").find(key, NOW) == record


def test_keys_are_read_from_toml(tmp_path: Path) -> None:
    key, record = new_key("secret", now=NOW)
    file = tmp_path / "keys.toml"
    file.write_text(
        f'[[keys]]\nid = "{record.id}"\nkind = "secret"\nsha256 = "{record.sha256}"\ncreated = {NOW.isoformat()}\n'
    )
    assert KeyRing(path=file).find(key, NOW) == record


def test_the_key_ring_follows_its_file_and_keeps_the_last_good_keys(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    old, old_record = new_key("secret", now=NOW)
    new, new_record = new_key("secret", now=NOW)
    save_keys(file, [old_record])
    ring = KeyRing(path=file)
    save_keys(file, [new_record])
    ring.reload(10.0)
    assert (ring.find(old, NOW), ring.find(new, NOW)) == (None, new_record)
    file.write_text("{")
    ring.reload(20.0)
    assert ring.error is not None
    assert ring.find(new, NOW) == new_record
    save_keys(file, [old_record])
    ring.reload(20.5)  # less than a second later: not looked at yet
    assert ring.find(old, NOW) is None
    ring.reload(30.0)
    assert ring.find(old, NOW) == old_record
    assert KeyRing([old_record]).error is None


@pytest.mark.parametrize("content", ["", "[]", '{"keys": [{"id": "abcd"}]}', '{"keyz": []}', "\x00"])
def test_a_file_that_holds_no_keys_says_so(tmp_path: Path, content: str) -> None:
    file = tmp_path / "keys.json"
    file.write_text(content)
    with pytest.raises(InputError, match="holds no API keys"):
        load_keys(file)


def test_a_revoked_key_dies_within_a_second_although_the_clock_was_set_back(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    key, record = new_key("secret", now=NOW)
    save_keys(file, [record])
    steady = [1_000.0]
    gate = Gate(KeyRing(path=file), seconds=lambda: steady[0])
    gate.admit(Credentials(key), NOW)
    save_keys(file, [])
    steady[0] += 1.1
    with pytest.raises(DeniedError, match="unknown or expired"):
        gate.admit(Credentials(key), NOW - dt.timedelta(hours=48))


def test_a_key_and_its_successor_hold_side_by_side_until_the_overlap_is_over(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    old, record = new_key("publishable", now=NOW, tenant="acme", origins=["https://a.example"], name="web")
    save_keys(file, [record])
    ring = KeyRing(path=file)
    new, keys = rotated(load_keys(file), record.id, now=NOW, until=NOW + dt.timedelta(days=7))
    save_keys(file, keys)
    ring.reload(10.0)
    day = dt.timedelta(days=1)
    assert [key is not None for key in (ring.find(old, NOW + 6 * day), ring.find(new, NOW + 6 * day))] == [True, True]
    assert [key is not None for key in (ring.find(old, NOW + 7 * day), ring.find(new, NOW + 7 * day))] == [False, True]
    found = ring.find(new, NOW)
    assert found is not None
    assert (found.kind, found.tenant, found.origins, found.name) == ("publishable", "acme", record.origins, "web")


def test_a_key_that_was_to_end_earlier_does_not_live_on_by_its_rotation() -> None:
    _, record = new_key("secret", now=NOW, expires=NOW + dt.timedelta(days=1))
    _, keys = rotated([record], record.id, now=NOW, until=NOW + dt.timedelta(days=7))
    assert [key.expires for key in keys] == [record.expires, record.expires]


@pytest.mark.parametrize(("key_id", "days", "said"), [("nobody", 0, "did you mean"), (None, 9, "has expired")])
def test_what_is_not_there_or_over_cannot_be_rotated(key_id: str | None, days: int, said: str) -> None:
    _, record = new_key("secret", now=NOW, expires=NOW + dt.timedelta(days=1))
    now = NOW + dt.timedelta(days=days)
    with pytest.raises((InputError, NotFoundError), match=said):
        rotated([record], key_id or record.id, now=now, until=now)


def test_the_successor_of_a_key_that_signs_signs(tmp_path: Path) -> None:
    key, record = new_key("secret", now=NOW, signs=True)
    new, keys = rotated([record], record.id, now=NOW, until=NOW + dt.timedelta(days=7))
    save_keys(tmp_path / "keys.json", keys)
    ring = KeyRing(path=tmp_path / "keys.json")
    assert ring.signer(record.id, NOW) is not None
    successor = ring.signer(keys[-1].id, NOW)
    assert successor is not None
    assert bytes.fromhex(successor.signing or "") == new.encode() != key.encode()
    assert ring.signer(record.id, NOW + dt.timedelta(days=7)) is None


def test_a_publishable_key_cannot_sign() -> None:
    with pytest.raises(InputError, match="only secret keys sign"):
        new_key("publishable", now=NOW, signs=True)


def test_a_file_without_keys_that_sign_is_one_that_older_versions_read(tmp_path: Path) -> None:
    plain, signing = tmp_path / "plain.json", tmp_path / "signing.json"
    save_keys(plain, [new_key("secret", now=NOW)[1]])
    save_keys(signing, [new_key("secret", now=NOW, signs=True)[1]])
    assert [msgspec.json.decode(file.read_bytes())["format"] for file in (plain, signing)] == [1, 2]


@pytest.mark.parametrize("field", ["id", "sha256", "signing"])
def test_a_line_end_behind_an_id_or_a_hash_is_no_part_of_it(tmp_path: Path, field: str) -> None:
    _, record = new_key("secret", now=NOW)
    whole = {"id": record.id, "sha256": record.sha256, "signing": "0" * 64}
    with pytest.raises(InputError, match=rf"matching regex .* at .*{field}"):
        save_keys(tmp_path / "keys.json", [msgspec.structs.replace(record, **{field: f"{whole[field]}\n"})])
