"""Engagement to preference labels: rules, duration-adjusted watching, screening, pair labels and fitted weights."""

from clapometer.labels.duration import (
    WatchCounts,
    WatchQuantiles,
    count_watches,
    duration_bin_sql,
    fit_watch_quantiles,
    ratio_bin_sql,
    watch_bins,
    watched_sql,
)
from clapometer.labels.pairs import (
    PairLabels,
    Said,
    creator_choices,
    explicit_pairs,
    pairs_of_prompts,
    posterior_pairs,
)
from clapometer.labels.rule import (
    DEFAULT_RULE,
    LabelRule,
    Watch,
    Weights,
    decode_rule,
    encode_rule,
    implicit_part,
)
from clapometer.labels.signals import EXPLICIT_SIGNALS, FLAGS, SIGNALS, Signal, SignalName
from clapometer.labels.values import (
    label_columns,
    label_sql,
    label_values,
    mature_sql,
    signal_values,
    watch_signal_sql,
)

__all__ = [
    "DEFAULT_RULE",
    "EXPLICIT_SIGNALS",
    "FLAGS",
    "SIGNALS",
    "LabelRule",
    "PairLabels",
    "Said",
    "Signal",
    "SignalName",
    "Watch",
    "WatchCounts",
    "WatchQuantiles",
    "Weights",
    "count_watches",
    "creator_choices",
    "decode_rule",
    "duration_bin_sql",
    "encode_rule",
    "explicit_pairs",
    "fit_watch_quantiles",
    "implicit_part",
    "label_columns",
    "label_sql",
    "label_values",
    "mature_sql",
    "pairs_of_prompts",
    "posterior_pairs",
    "ratio_bin_sql",
    "signal_values",
    "watch_bins",
    "watch_signal_sql",
    "watched_sql",
]
