"""`docs/explanation/evidence.md`: written by the program from the JSON that the studies left, and by nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from clapometer.study.page.labels import labels_section, prompts_section, real_section, screening_section
from clapometer.study.page.models import looks_section, models_section
from clapometer.study.page.outside import outside_section

__all__ = ["SECTIONS", "Section", "write_report"]

INTRODUCTION = """# Evidence

What Clapometer's rankings are worth, measured where the truth is known. This page is written by
`clapometer study --report` from the JSON files beside it, which `make study` makes; edit neither.
Misses are reported as misses."""


class Section(NamedTuple):
    """A part of the page.

    Attributes:
        title: Its heading.
        file: JSON beside the page; the section is left out while there is none.
        write: From its content and the folder for figures to Markdown, headings from the third level on.
    """

    title: str
    file: str
    write: Callable[[Any, Path], str]


SECTIONS: tuple[Section, ...] = (
    Section("Rankings of model versions", "evidence.json", models_section),
    Section("Outside our own worlds", "evidence-outside.json", outside_section),
    Section("Looking every day", "evidence-looks.json", looks_section),
    Section("Prompts and pair labels", "evidence-prompts.json", prompts_section),
    Section("Label rules", "evidence-labels.json", labels_section),
    Section("Fake accounts", "evidence-screening.json", screening_section),
    Section("Real data", "evidence-real.json", real_section),
)
"""In the order of the page."""


def write_report(folder: Path, assets: Path) -> tuple[str, ...]:
    """Writes ``evidence.md`` in `folder` from the JSON files there, and its figures in `assets`.

    Returns:
        The titles of the sections that had something to say.
    """
    known = [section for section in SECTIONS if (folder / section.file).exists()]
    parts = [INTRODUCTION]
    for section in known:
        content = json.loads((folder / section.file).read_text(encoding="utf-8"))
        if content:
            parts.append(f"## {section.title}\n\n{section.write(content, assets)}")
    (folder / "evidence.md").write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    return tuple(section.title for section in known)
