"""How well rankings by label rules agree with true satisfaction, in the simulator.

Generated from `docs/explanation/evidence-labels.json` by `scripts/label_agreement.py`; do not edit.
"""

__all__ = ["UNANCHORED_AGREEMENT", "VOTED_AGREEMENT"]

UNANCHORED_AGREEMENT = 0.75
"""Kendall's tau between model versions by the default rule's own truth and by true satisfaction.

What a ranking loses, on average, where there is no anchor, whatever its estimator (`clapometer study --part labels`).
"""
VOTED_AGREEMENT = 0.90
"""The same for the default rule fitted to 1,000 votes on clips that were shown often."""
