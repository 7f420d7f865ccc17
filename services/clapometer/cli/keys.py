"""``clapometer keys``: make, list and revoke API keys; rotate the secret of impression tokens."""

import datetime as dt
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console
from rich.table import Table

from clapometer.cli import wiring
from clapometer.domain import InputError
from clapometer.settings import Settings, load_settings
from clapometer.token_secrets import rotate_token_secrets

if TYPE_CHECKING:  # imported when a command runs, so that help is quick
    from clapometer.collector import ApiKey

app = typer.Typer(no_args_is_help=True, help="Make, list and revoke API keys.")


@app.command()
def new(
    kind: Annotated[
        Literal["publishable", "secret"],
        typer.Option(help="`publishable`: browsers, viewer events only; `secret`: servers, everything."),
    ],
    tenant: Annotated[str, typer.Option(help="Owner of all that is sent with the key.")] = "default",
    name: Annotated[str, typer.Option(help="What you call it.")] = "",
    origin: Annotated[list[str] | None, typer.Option(help="Only pages of this origin may use it; repeatable.")] = None,
    days: Annotated[int | None, typer.Option(min=1, help="Days until it expires; never if left out.")] = None,
) -> None:
    """Make a key and print it. It is shown this once: only its hash is stored."""
    from clapometer.collector import new_key, save_keys

    settings = load_settings()
    now = wiring.utc_now()
    expires = None if days is None else now + dt.timedelta(days=days)
    key, record = new_key(kind, now=now, tenant=tenant, expires=expires, origins=origin or (), name=name)
    settings.keys_file.parent.mkdir(parents=True, exist_ok=True)
    save_keys(settings.keys_file, (*_stored(settings), record))
    typer.echo(key)


@app.command("list")
def list_keys() -> None:
    """List the keys; what is secret of them is not stored and not shown."""
    table = Table(box=None, pad_edge=False)
    for title in ("id", "kind", "tenant", "name", "created", "expires", "origins"):
        table.add_column(title)
    for key in _stored(load_settings()):
        expires = "never" if key.expires is None else f"{key.expires:%Y-%m-%d}"
        table.add_row(
            key.id, key.kind, key.tenant, key.name, f"{key.created:%Y-%m-%d}", expires, " ".join(key.origins) or "any"
        )
    Console().print(table)


@app.command()
def revoke(key_id: Annotated[str, typer.Argument(help="Id of the key, as `keys list` shows it.")]) -> None:
    """Revoke a key; a running collector refuses it within a second."""
    from clapometer.collector import save_keys

    settings = load_settings()
    keys = _stored(settings)
    left = tuple(key for key in keys if key.id != key_id)
    if len(left) == len(keys):
        msg = f"no key has the id {key_id!r}; `clapometer keys list` shows them"
        raise InputError(msg, "key_id")
    save_keys(settings.keys_file, left)
    typer.echo(f"revoked {key_id}")


@app.command("rotate-tokens")
def rotate_tokens() -> None:
    """Sign impression tokens with a fresh secret; tokens signed before stay valid until they expire."""
    secrets = rotate_token_secrets(load_settings().tokens_file)
    typer.echo(f"{secrets.current} signs from the next start of serving on; {len(secrets.keys)} secrets verify")


def _stored(settings: Settings) -> "tuple[ApiKey, ...]":
    from clapometer.collector import load_keys

    return load_keys(settings.keys_file) if settings.keys_file.exists() else ()
