"""Engagement to preference labels: rules, duration-adjusted watching, screening, pair labels and fitted weights."""

from clapometer.labels.agreement import UNANCHORED_AGREEMENT, VOTED_AGREEMENT
from clapometer.labels.cohorts import CohortLimits, Seen, cohorts_moving_together
from clapometer.labels.duration import (
    WatchCounts,
    WatchQuantiles,
    count_watches,
    duration_bin_sql,
    fit_watch_quantiles,
    ratio_bin_sql,
    shared_lengths,
    watch_bins,
    watched_sql,
)
from clapometer.labels.fit import (
    FittedRule,
    fit_to_outcome,
    fit_to_votes,
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
    rule_toml,
)
from clapometer.labels.screening import (
    ScreeningLimits,
    ScreeningReason,
    ViewerSums,
    newcomers,
    rows_seen_often,
    screen_viewers,
)
from clapometer.labels.signals import EXPLICIT_SIGNALS, FLAGS, SIGNALS, Signal, SignalName
from clapometer.labels.values import (
    label_columns,
    label_values,
    signal_values,
)
from clapometer.labels.voters import MOST_OF_ONE, most_of_one, voter_weights

__all__ = [
    "DEFAULT_RULE",
    "EXPLICIT_SIGNALS",
    "FLAGS",
    "MOST_OF_ONE",
    "SIGNALS",
    "UNANCHORED_AGREEMENT",
    "VOTED_AGREEMENT",
    "CohortLimits",
    "FittedRule",
    "LabelRule",
    "PairLabels",
    "Said",
    "ScreeningLimits",
    "ScreeningReason",
    "Seen",
    "Signal",
    "SignalName",
    "ViewerSums",
    "Watch",
    "WatchCounts",
    "WatchQuantiles",
    "Weights",
    "cohorts_moving_together",
    "count_watches",
    "creator_choices",
    "decode_rule",
    "duration_bin_sql",
    "encode_rule",
    "explicit_pairs",
    "fit_to_outcome",
    "fit_to_votes",
    "fit_watch_quantiles",
    "implicit_part",
    "label_columns",
    "label_values",
    "most_of_one",
    "newcomers",
    "pairs_of_prompts",
    "posterior_pairs",
    "ratio_bin_sql",
    "rows_seen_often",
    "rule_toml",
    "screen_viewers",
    "shared_lengths",
    "signal_values",
    "voter_weights",
    "watch_bins",
    "watched_sql",
]
