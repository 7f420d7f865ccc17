"""Text that others wrote, fit for a terminal: nothing in it is obeyed, and what it hides is seen."""

import re
import unicodedata

_OBEYED = re.compile(r"[^ -~\u00a1-\u00ac\u00ae-\u05ff]")
"""What may have to be escaped: all but what surely need not."""
_JOINERS = "\u200c\u200d"
"""Format characters that belong to words (Persian) and to emoji."""
_ESCAPED = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Controls (C0, C1, DEL), formats (bidirectional overrides, tags, invisible ones), half characters, line separators."""


def printable(text: str, keep: str = "") -> str:
    r"""Returns the text with each character that a terminal would obey, or hide, as its escape, such as ``\x1b``.

    Args:
        text: Anything.
        keep: Characters that stay as they are, such as ``"\n"`` of text that has lines of its own.

    Example:
        >>> printable("red \x1b[31mtext")
        'red \\x1b[31mtext'
    """
    return _OBEYED.sub(lambda found: _escape(found[0], keep), text)


def printable_lines(text: str) -> str:
    """Returns :func:`printable` of text that has lines and tabs of its own."""
    return printable(text.replace("\r\n", "\n"), keep="\n\t")


def printable_json(text: str) -> str:
    """Returns the same JSON with what :func:`printable` escapes as JSON's own escapes: it parses to the same."""
    return _OBEYED.sub(lambda found: found[0] if _escape(found[0], "\n") == found[0] else _json(found[0]), text)


def _escape(character: str, keep: str) -> str:
    if character in keep or character in _JOINERS or unicodedata.category(character) not in _ESCAPED:
        return character
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _json(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))
