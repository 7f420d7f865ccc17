import json

from hypothesis import given
from hypothesis import strategies as st
from tests.support.terminal_texts import ANY_TEXT, OBEYED, obeyed

from clapometer.domain.printable import printable, printable_json, printable_lines


@given(ANY_TEXT)
def test_nothing_that_a_terminal_obeys_is_left(text: str) -> None:
    assert obeyed(printable(text), keep="") == set()
    assert obeyed(printable_lines(text)) == set()
    assert printable(printable(text)) == printable(text)


@given(st.text(st.characters(exclude_categories=list(OBEYED))))
def test_what_a_terminal_shows_stays_as_it_is(text: str) -> None:
    assert printable(text) == printable_lines(text) == printable_json(text) == text


@given(ANY_TEXT)
def test_json_says_the_same_and_is_harmless(text: str) -> None:
    said = printable_json(json.dumps({text: [text]}, ensure_ascii=False))
    assert json.loads(said) == {text: [text]}
    assert obeyed(said, keep="") == set()


def test_what_was_hidden_is_seen() -> None:
    assert printable("\x1b[2Jab\u202ecd\x9b\U000e0041") == "\\x1b[2Jab\\u202ecd\\x9b\\U000e0041"
    assert printable("half \ud800") == "half \\ud800"
    assert printable("می‌خواهم 👩‍🚀 é \N{NO-BREAK SPACE}") == "می‌خواهم 👩‍🚀 é \N{NO-BREAK SPACE}"
    assert printable_lines("a\r\nb\rc\td") == "a\nb\\x0dc\td"
