"""``clapometer label``: show a label rule, or fit one to votes, returning viewers or purchases."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.table import Table

from clapometer.cli import options
from clapometer.domain import InputError
from clapometer.operation import wiring
from clapometer.settings import load_settings
from clapometer.terminal.printing import Console, echo, echo_json
from clapometer.terminal.progress import progress_bar

if TYPE_CHECKING:  # imported when a command runs, so that help is quick
    from clapometer.labels import FittedRule, LabelRule

app = typer.Typer(no_args_is_help=True, help="Show a label rule, or fit one to an anchor.")


@app.command()
def show(
    rule: Annotated[Path | None, typer.Argument(help="TOML file; else the setting, else the built-in rule.")] = None,
    form: options.Format = "table",
) -> None:
    """Print a label rule as TOML, and what can be expected of it."""
    import msgspec

    from clapometer.labels import rule_toml

    found = wiring.label_rule(load_settings().label_rule) if rule is None else wiring.label_rule(rule, "rule")
    if form == "json":
        echo_json(msgspec.json.encode({**msgspec.structs.asdict(found), "expectation": expectation(found)}))
        return
    echo(rule_toml(found), nl=False)
    echo(f"\n# {expectation(found)}")


@app.command()
def fit(
    *,
    anchor: Annotated[
        Literal["votes", "retention", "purchases"],
        typer.Option(help="Votes on pairs of clips, viewers who come back, or purchases."),
    ],
    out: Annotated[Path, typer.Option(help="TOML file to write the fitted rule to.")],
    start: Annotated[
        Path | None, typer.Option("--from", help="TOML file of the rule to start from; else the setting.")
    ] = None,
    tenant: options.Tenant = "default",
    min_impressions: Annotated[
        int, typer.Option(min=1, help="Votes count where both clips have as many impressions.")
    ] = 30,
    within_days: Annotated[
        int, typer.Option(min=1, max=365, help="A viewer has come back when seen again within as many days.")
    ] = 1,
    strength: Annotated[
        float, typer.Option(min=0.001, max=1e9, help="Rows of the anchor that the starting rule is worth.")
    ] = 60.0,
    form: options.Format = "table",
) -> None:
    """Fit a rule's weights to an anchor in the lake, and say how well it calibrates on what was held out."""
    json = form == "json"
    from clapometer.labels import rule_toml
    from clapometer.training.label_rules.fit import AnchorOptions, fit_rule

    settings = load_settings()
    before = wiring.label_rule(settings.label_rule) if start is None else wiring.label_rule(start, "from")
    if not out.parent.is_dir():
        msg = f"{out.parent} is no folder; make it first"
        raise InputError(msg, "out")
    lake = wiring.existing_lake(settings)
    with progress_bar(json) as bar:
        task = bar.add_task("outcomes", total=None, note="")
        fitted = fit_rule(
            lake, anchor, before, as_of=wiring.utc_now(), tenant=tenant,
            options=AnchorOptions(min_impressions, within_days, strength),
            threads=settings.threads, memory_limit=settings.memory_limit,
            progress=lambda stage, done, of: bar.update(task, description=stage, completed=done, total=of or None),
        )  # fmt: skip
    out.write_text(rule_toml(fitted.rule), encoding="utf-8")
    _print(before, fitted, out, json)


def expectation(rule: "LabelRule") -> str:
    """Returns what can be expected of a rule: with an anchor what it was fitted to, without what that costs."""
    from clapometer.labels import UNANCHORED_AGREEMENT, VOTED_AGREEMENT

    if rule.anchor:
        return f"rule {rule.id} is fitted to {rule.anchor}."
    return (
        f"rule {rule.id} has no anchor. In simulation the ranking by the default weights' own truth agrees with that "
        f"by true satisfaction at tau {UNANCHORED_AGREEMENT:.2f}, with weights fitted to 1,000 votes at "
        f"{VOTED_AGREEMENT:.2f}; no amount of traffic makes up for that: `clapometer label fit`."
    )


def _print(before: "LabelRule", fitted: "FittedRule", out: Path, json: bool) -> None:
    import msgspec

    if json:
        echo_json(msgspec.json.encode(fitted))
        return
    console = Console()
    table = Table(box=None, pad_edge=False)
    for title in ("signal", "weight before", "fitted"):
        table.add_column(title, justify="left" if title == "signal" else "right")
    for name in fitted.rule.weights.__struct_fields__:
        old, new = getattr(before.weights, name), getattr(fitted.rule.weights, name)
        if old or new:
            table.add_row(name, f"{old:.3f}", f"{new:.3f}")
    console.print(table)
    console.print(
        f"anchor: {fitted.rule.anchor}. Held out: calibration slope {fitted.slope:.2f} (1 is calibrated), log loss "
        f"{fitted.log_loss:.4f}, of the weights before {fitted.log_loss_before:.4f}, of no signal "
        f"{fitted.log_loss_constant:.4f}.",
    )
    if fitted.log_loss >= fitted.log_loss_constant:
        console.print("The signals say nothing about this anchor: do not use the rule.")
    elif fitted.log_loss >= fitted.log_loss_before:
        console.print(
            "Held out, the fitted weights are no better than those before: keep those, or get more of the anchor."
        )
    console.print(f"{out}: use it with `clapometer train --label-rule {out}`")
