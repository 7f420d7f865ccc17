"""Clients of the public API: the sender, recorded engagement, simulated worlds."""

from clapometer.client.bad_rows import BadRow, RowsRead
from clapometer.client.event_files import EventFile
from clapometer.client.kuairand import KuaiRand, KuaiRandCounts
from clapometer.client.sender import Compression, SendFailedError, SendOptions, SendReport, send, send_async
from clapometer.client.signing import RequestSigner
from clapometer.client.world_traffic import TrafficOptions, WorldTraffic, build_traffic
from clapometer.client.world_truth import TrueModel, TruePrompt, WorldTruth, read_truth, truth_of, write_truth
from clapometer.client.world_views import Signing

__all__ = [
    "BadRow",
    "Compression",
    "EventFile",
    "KuaiRand",
    "KuaiRandCounts",
    "RequestSigner",
    "RowsRead",
    "SendFailedError",
    "SendOptions",
    "SendReport",
    "Signing",
    "TrafficOptions",
    "TrueModel",
    "TruePrompt",
    "WorldTraffic",
    "WorldTruth",
    "build_traffic",
    "read_truth",
    "send",
    "send_async",
    "truth_of",
    "write_truth",
]
