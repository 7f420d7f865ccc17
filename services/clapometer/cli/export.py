"""``clapometer export``: preference labels as the files that a trainer reads, and what changed between two exports."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from clapometer.cli import options
from clapometer.operation import wiring
from clapometer.settings import load_settings
from clapometer.terminal.printing import echo, echo_json
from clapometer.terminal.progress import progress_bar

if TYPE_CHECKING:  # imported when a command runs, so that help is quick
    from clapometer.export.folder import Manifest
    from clapometer.export.options import Kind

app = typer.Typer(no_args_is_help=True, help="Write preference labels as files that a trainer reads.")


def _exporting(kind: "Kind") -> Callable[..., None]:
    """Returns the command that exports one kind of rows."""

    def export(
        *,
        out: Annotated[Path, typer.Option(help="Folder to make; an earlier export there is replaced.")],
        run: Annotated[str | None, typer.Option(help="Id of the run; the newest good one if left out.")] = None,
        tenant: options.Tenant = "default",
        min_tier: Annotated[
            Literal["A", "B", "C"], typer.Option(help="Weakest tier: A what people said, B with logged chances.")
        ] = "C",
        min_posterior: Annotated[
            float, typer.Option(help="Least probability that the chosen clip is better, from 0.5.")
        ] = 0.5,
        max_per_prompt: Annotated[
            int | None, typer.Option(help="Most pairs of a prompt, those that tell most.")
        ] = None,
        max_per_model: Annotated[
            int | None, typer.Option(help="Most pairs that one model version wins, those that tell most.")
        ] = None,
        held_out: Annotated[
            float, typer.Option(help="Share of the prompts that go into `test`, all of a prompt at once.")
        ] = 0.0,
        resample: Annotated[
            int | None, typer.Option(help="Draw as many rows by weight: for trainers that read no weight.")
        ] = None,
        seed: Annotated[int, typer.Option(help="Of the split and of what is drawn.")] = 0,
        form: options.Format = "table",
    ) -> None:
        from clapometer.export.export import Source, export_run
        from clapometer.export.options import ExportOptions
        from clapometer.training.reading import Resources

        chosen = ExportOptions(
            kind=kind, tenant=tenant, min_tier=min_tier, min_posterior=min_posterior, max_per_prompt=max_per_prompt,
            max_per_model=max_per_model, held_out=held_out, resample=resample, seed=seed,
        )  # fmt: skip
        settings = load_settings()
        wiring.lake_folder(settings)
        lake = wiring.existing_lake(settings)
        with progress_bar(form == "json") as bar:
            task = bar.add_task("labels", total=None, note="")
            manifest = export_run(
                Source(lake, Resources(settings.threads, settings.memory_limit)), chosen, out, run_id=run,
                told=lambda note: bar.update(task, note=note),
            )  # fmt: skip
        _print(out, manifest, json=form == "json")

    return export


app.command("trl-preference", help="A row per pair of clips: prompt, chosen, rejected.")(_exporting("trl-preference"))
app.command("trl-unpaired", help="A row per clip: prompt, completion, label.")(_exporting("trl-unpaired"))


@app.command()
def diff(
    old: Annotated[Path, typer.Argument(help="An export.")],
    new: Annotated[Path, typer.Argument(help="A later export of the same kind.")],
    form: options.Format = "table",
) -> None:
    """Print how many rows were added, changed or removed; as `json` the rows, each on a line."""
    import msgspec

    from clapometer.export.difference import changes

    found: Counter[str] = Counter()
    for row in changes(old, new):
        found[row["change"]] += 1
        if form == "json":
            echo_json(msgspec.json.encode(row))
    if form == "table":
        echo(", ".join(f"{found[change]:,} {change}" for change in ("added", "changed", "removed")))


def _print(out: Path, manifest: "Manifest", *, json: bool) -> None:
    import msgspec

    if json:
        echo_json(msgspec.json.encode(manifest))
        return
    sizes = " and ".join(f"{split.rows:,} rows of {name}" for name, split in manifest.splits.items())
    echo(f"exported: {out}: {sizes}, run {manifest.run_id}, tier {manifest.tier}")
    for reason, count in manifest.left_out.items():
        echo(f"left out: {count:,} labels: {reason}")
