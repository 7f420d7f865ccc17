"""Which keys ask for slates of clips that nobody registered: what comes of them counts in no ranking."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass

from clapometer.serving.reading.answers import UnregisteredKey

__all__ = ["Candidates"]


@dataclass
class _Asked:
    candidates: int = 0
    unregistered: int = 0
    example: str = ""


class Candidates:
    """Counts the candidates of one process by tenant and key, and those of them that no registration is known of."""

    def __init__(self) -> None:
        self._asked: dict[tuple[str, str], _Asked] = {}
        self._lock = threading.Lock()

    def count(self, tenant: str, key: str, candidates: int, unregistered: Sequence[str]) -> None:
        """Counts those of one slate."""
        with self._lock:
            asked = self._asked.setdefault((tenant, key), _Asked())
            asked.candidates += candidates
            asked.unregistered += len(unregistered)
            asked.example = unregistered[0] if unregistered else asked.example

    def of(self, tenant: str) -> list[UnregisteredKey]:
        """Returns the keys of a tenant that named unregistered clips, most first."""
        with self._lock:
            found = [
                UnregisteredKey(
                    key=key, candidates=asked.candidates, unregistered=asked.unregistered, example=asked.example
                )
                for (owner, key), asked in self._asked.items()
                if owner == tenant and asked.unregistered
            ]
        return sorted(found, key=lambda each: (-each.unregistered, each.key))
