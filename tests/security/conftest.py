"""The services as they run, for tests of what all their answers have in common."""

from tests.unit.collector.conftest import collector, start
from tests.unit.serving.conftest import lake, serving

__all__ = ["collector", "lake", "serving", "start"]
