"""Ids that follow from a seed: the same run twice sends the same ids, and so only duplicates.

They have the form of UUID version 8 (RFC 9562 §5.8): 60 bits of the namespace, a kind, a counter.
"""

import hashlib
from typing import Literal

Kind = Literal["clip", "prompt", "viewer", "session", "impression", "attempt", "vote", "content"]
_KINDS: dict[Kind, int] = {
    "clip": 0x8001,
    "prompt": 0x8002,
    "viewer": 0x8003,
    "session": 0x8004,
    "impression": 0x8005,
    "attempt": 0x8006,
    "vote": 0x8007,
    "content": 0x8008,
}


class IdSpace:
    """Ids of one namespace: what it was made from, such as a seed and its settings, in one string."""

    def __init__(self, namespace: str) -> None:
        digest = hashlib.blake2b(namespace.encode(), digest_size=8).hexdigest()
        self.name = digest[:8]
        head = f"{digest[:8]}-{digest[8:12]}-8{digest[12:15]}"
        self._heads = {kind: f"{head}-{code:04x}-" for kind, code in _KINDS.items()}

    def id(self, kind: Kind, index: int) -> str:
        """Returns the id of the ``index``-th (below 2^48) thing of ``kind``."""
        return f"{self._heads[kind]}{index:012x}"
