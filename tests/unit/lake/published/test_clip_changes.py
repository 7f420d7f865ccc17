"""Registrations that give a clip another prompt or model are listed; all others are not."""

from pathlib import Path

from tests.support.event_rows import at, clip, events_table

from clapometer.lake.tables import Lake


def test_changes_of_prompt_and_model_are_listed_with_what_was_before(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    same = [clip("same", "p", "m", at(n), model_version="1", duration_ms=1000 + n) for n in range(3)]
    changed = [
        clip("changed", "p", "m", at(0), model_version="1"),
        clip("changed", "q", "m", at(1), model_version="1"),
        clip("changed", "q", "m", at(2), model_version="2"),
        clip("changed", "q", "m", at(3), model_version="2"),
    ]
    numbered = [row | {"id": f"r{number}"} for number, row in enumerate([*same, *changed])]
    other = [clip("same", "z", "m", at(9), model_version="9") | {"tenant": "other"}]
    lake.append("events", events_table([*reversed(numbered), *other]))
    with lake.connect() as con:
        found = con.execute(
            "SELECT clip_id, before_prompt_id, prompt_id, before_model, model FROM clip_changes ORDER BY changed_at"
        ).fetchall()
    assert found == [("changed", "p", "q", "m@1", "m@1"), ("changed", "q", "q", "m@1", "m@2")]
