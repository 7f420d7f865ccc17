"""Writes models/clapometer/labels/agreement.py from the study's table: ``python scripts/label_agreement.py``."""

import json
from pathlib import Path

ROOT = Path(__file__).parent.parent
EVIDENCE = ROOT / "docs" / "explanation" / "evidence-labels.json"
TARGET = ROOT / "models" / "clapometer" / "labels" / "agreement.py"
RULES = {"unanchored": "default rule, no anchor", "voted": "fitted to 1,000 votes"}
TEMPLATE = '''\
"""How well rankings by label rules agree with true satisfaction, in the simulator.

Generated from `docs/explanation/evidence-labels.json` by `scripts/label_agreement.py`; do not edit.
"""

__all__ = ["UNANCHORED_AGREEMENT", "VOTED_AGREEMENT"]

UNANCHORED_AGREEMENT = {unanchored:.2f}
"""Kendall's tau between model versions by the default rule's own truth and by true satisfaction.

What a ranking loses, on average, where there is no anchor, whatever its estimator (`clapometer study --part labels`).
"""
VOTED_AGREEMENT = {voted:.2f}
"""The same for the default rule fitted to 1,000 votes on clips that were shown often."""
'''


def agreement() -> str:
    """Returns the module's text."""
    tau = {row["rule"]: row["tau"] for row in json.loads(EVIDENCE.read_text(encoding="utf-8"))}
    return TEMPLATE.format(**{name: tau[rule] for name, rule in RULES.items()})


if __name__ == "__main__":
    TARGET.write_text(agreement(), encoding="utf-8")
