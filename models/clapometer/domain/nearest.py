"""What somebody may have meant who named something that is not there."""

import difflib
from collections.abc import Iterable

NEAREST = 3
"""Names that are offered."""


def nearest(name: str, known: Iterable[str]) -> str:
    """Returns the end of a sentence that says which known names are nearest to ``name``, best first."""
    found = difflib.get_close_matches(name, list(dict.fromkeys(known)), n=NEAREST, cutoff=0.0)
    return in_words(found)


def in_words(found: Iterable[str]) -> str:
    """Returns the end of a sentence that offers these names."""
    names = [f"`{name}`" for name in found]
    if not names:
        return "; there is none yet"
    return f"; did you mean {names[0] if len(names) == 1 else ', '.join(names[:-1]) + ' or ' + names[-1]}?"
