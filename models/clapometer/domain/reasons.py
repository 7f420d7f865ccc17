"""The closed list of reasons why an event is refused: what is counted, shown and alerted on; the text is apart.

Text about an event quotes its sender, who may be anybody: it is for the sender, and for who has a key.
"""

from typing import Literal, get_args

Code = Literal[
    "malformed", "too_deep", "zero_character", "not_cloudevents", "unknown_type", "unknown_field", "missing_field",
    "wrong_type", "out_of_range", "unknown_value", "wrong_form", "inconsistent", "clock", "forbidden", "conflict",
    "corrupt_block", "lost_block", "other",
]  # fmt: skip
CODES: tuple[Code, ...] = get_args(Code)
REASONS: dict[Code, str] = {
    "malformed": "not JSON, or not UTF-8",
    "too_deep": "nested deeper than any event is",
    "zero_character": "holds the character U+0000",
    "not_cloudevents": "a record of the log that is not a CloudEvent in JSON",
    "unknown_type": "an event type that does not exist",
    "unknown_field": "a field that does not exist",
    "missing_field": "a needed field is missing",
    "wrong_type": "a value of another type, such as text for a number",
    "out_of_range": "a number, text or list outside its bounds",
    "unknown_value": "a value that is not on the field's list",
    "wrong_form": "a time, code or hash that is not written as one",
    "inconsistent": "fields that do not go together",
    "clock": "a time that cannot be right",
    "forbidden": "a key that may not send this",
    "conflict": "known source and id, with other data; the first one stays",
    "corrupt_block": "a block of the log whose bytes changed",
    "lost_block": "blocks that left the log before they were loaded",
    "other": "refused by an older version, which gave no code",
}
"""What each code says of the event, in words for the page."""


def code_of(text: str) -> Code:
    """Returns a code by its text; ``other`` for what is none."""
    return next((code for code in CODES if code == text), "other")
