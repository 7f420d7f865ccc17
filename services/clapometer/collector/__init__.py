"""Takes events in over HTTP and answers once they are durable in the event log."""

from clapometer.collector.app import CollectorApp, create_app
from clapometer.collector.config import CollectorConfig
from clapometer.collector.door import Door
from clapometer.collector.examples import event_examples
from clapometer.collector.server import calm_garbage_collection, uvicorn_config

__all__ = [
    "CollectorApp",
    "CollectorConfig",
    "Door",
    "calm_garbage_collection",
    "create_app",
    "event_examples",
    "uvicorn_config",
]
