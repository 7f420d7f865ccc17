"""Texts that mean to be obeyed by a terminal, and what it would obey of a text."""

import unicodedata

from hypothesis import strategies as st

OBEYED = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Categories of controls, formats, half characters and separators of lines."""
SEQUENCES = ("\x1b[2J", "\x1b]0;owned\x07", "\x9b31m", "\x1bP", "\u202etxet\u2066", "[red]n[/x]", ":boom:", "\r\n")
ANY_TEXT = st.lists(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
    | st.text(st.sampled_from("\x1b\x9b\x07\x08\r\n\t\u202e\u2066\u200d\x7f[]/:;m"), max_size=8)
    | st.sampled_from(SEQUENCES),
    max_size=6,
).map("".join)


def obeyed(text: str, keep: str = "\n\t") -> set[str]:
    """Returns the characters that a terminal would obey, those of lines and of words aside."""
    return {char for char in text if unicodedata.category(char) in OBEYED} - {*keep, "\u200c", "\u200d"}
