"""``clapometer study --part real``: people's verdicts, and what comes back of them."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table

from clapometer.cli import sending
from clapometer.domain import InputError
from clapometer.terminal.printing import Console

if TYPE_CHECKING:  # imported when the command runs, so that help is quick
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


def run_real(worlds: int, *, out: Path, data: Path, seed: int, quiet: bool) -> None:
    """Measures on real data, writes the rows and prints them."""
    from dataclasses import asdict

    from clapometer.study.real_data import genai_evidence, kuairand_evidence

    bench = data / "genai-bench"
    files = (data / "kuairand/reactions.tsv.gz", bench / "genai_video_teaser.json", bench / "genai_image.json")
    for file in files:
        if not file.is_file():
            msg = f"there is no {file}; the samples come with Clapometer's source as `data`: give that folder"
            raise InputError(msg, "data")
    with sending.progress_bar(quiet) as bar:
        bar.add_task("real data", total=None, note="")
        rows = [*kuairand_evidence(files[0]), *genai_evidence(files[1], files[2], _choix(), worlds=worlds, seed=seed)]
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n", encoding="utf-8")
    if quiet:
        return
    table = Table(box=None, pad_edge=False)
    for title in ("data", "quantity", "value", "n", "target", "met"):
        table.add_column(title, justify="right" if title in {"value", "n"} else "left")
    for row in rows:
        met = "" if row.met is None else "yes" if row.met else "NO"
        table.add_row(row.data, row.quantity, f"{row.value:.4g}", f"{row.n:,}", row.target, met)
    Console().print(table)


def _choix() -> "Callable[[Floats], Floats] | None":
    """Strengths by choix, where it is installed (it comes with the development tools)."""
    try:
        import choix
    except ImportError:
        return None

    def strengths(wins: "Floats") -> "Floats":
        found: Floats = choix.ilsr_pairwise_dense(wins, alpha=0.0, tol=1e-12)
        return found

    return strengths
