"""Clients of the public API: the sender, recorded engagement, simulated worlds."""

from clapometer.traffic.recorded.bad_rows import BadRow, RowsRead
from clapometer.traffic.recorded.files import EventFile
from clapometer.traffic.recorded.kuairand import KuaiRand, KuaiRandCounts
from clapometer.traffic.sender.sender import Compression, SendFailedError, SendOptions, SendReport, send, send_async
from clapometer.traffic.sender.signing import RequestSigner
from clapometer.traffic.worlds.traffic import TrafficOptions, WorldTraffic, build_traffic
from clapometer.traffic.worlds.truth import TrueModel, TruePrompt, WorldTruth, read_truth, truth_of, write_truth
from clapometer.traffic.worlds.viewers import Signing

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
