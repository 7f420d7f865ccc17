"""What the docs say is what the code does."""

import re
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


@pytest.mark.parametrize(
    ("script", "function", "page"),
    [
        ("event_reference", "event_reference", "events"),
        ("command_reference", "command_reference", "commands"),
        ("command_reference", "settings_reference", "settings"),
        ("telemetry_reference", "telemetry_reference", "prometheus"),
        ("metric_reference", "metric_reference", "metrics"),
        ("metric_reference", "lake_reference", "lake"),
    ],
)
def test_generated_pages_are_up_to_date(script: str, function: str, page: str) -> None:
    generated = runpy.run_path(str(ROOT / "scripts" / f"{script}.py"))[function]()
    assert generated == (ROOT / "docs" / "reference" / f"{page}.md").read_text(), f"run python scripts/{script}.py"


def test_the_table_of_faults_is_that_of_the_results() -> None:
    generated = runpy.run_path(str(ROOT / "scripts" / "reliability.py"))["reliability_page"]()
    assert generated == (ROOT / "docs" / "reliability.md").read_text(), "run PYTHONPATH=. python scripts/reliability.py"


def test_what_the_commands_say_of_label_rules_is_what_the_study_found() -> None:
    generated = runpy.run_path(str(ROOT / "scripts" / "label_agreement.py"))["agreement"]()
    module = ROOT / "models" / "clapometer" / "labels" / "agreement.py"
    assert generated == module.read_text(), "run python scripts/label_agreement.py"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text())
    assert [target for target in targets if not (page.parent / target).exists()] == []
