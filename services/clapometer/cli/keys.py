"""``clapometer keys``: make, list, edit and revoke API keys; rotate the secret of impression tokens."""

import datetime as dt
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec
import typer
from rich.text import Text

from clapometer.cli import options
from clapometer.domain import InputError
from clapometer.gate.tokens import retire_token_secret, rotate_token_secrets
from clapometer.operation import wiring
from clapometer.settings import Settings, load_settings
from clapometer.terminal.printing import Console, echo, echo_json

if TYPE_CHECKING:  # imported when a command runs, so that help is quick
    from clapometer.gate import ApiKey

_MOST_DAYS = 36_500

app = typer.Typer(no_args_is_help=True, help="Make, list, edit and revoke API keys.")


@app.command()
def new(
    kind: Annotated[
        Literal["publishable", "secret"],
        typer.Option(help="`publishable`: browsers, viewer events only; `secret`: servers, everything."),
    ],
    tenant: options.Tenant = "default",
    name: Annotated[str, typer.Option(help="What you call it.")] = "",
    origin: Annotated[
        list[str] | None,
        typer.Option(help="Only pages of this origin may use it, such as https://shop.example; repeatable."),
    ] = None,
    days: Annotated[
        int | None, typer.Option(min=1, max=_MOST_DAYS, help="Days until it expires; never if left out.")
    ] = None,
    signs: Annotated[
        bool, typer.Option("--signs", help="It signs requests (RFC 9421) and is never sent; secret keys only.")
    ] = False,
    form: options.Format = "table",
) -> None:
    """Make a key and print it. It is shown this once: only its hash is stored, save of one that signs."""
    from clapometer.gate import new_key, save_keys

    settings = load_settings()
    now = wiring.utc_now()
    expires = None if days is None else now + dt.timedelta(days=days)
    key, record = new_key(kind, now=now, tenant=tenant, expires=expires, origins=origin or (), name=name, signs=signs)
    settings.keys_file.parent.mkdir(parents=True, exist_ok=True)
    save_keys(settings.keys_file, (*_stored(settings), record))
    _print(form, key, {"key": key, **_public(record)})


@app.command()
def rotate(
    key_id: Annotated[str, typer.Argument(help="Id of the key, as `keys list` shows it.")],
    overlap_days: Annotated[
        int,
        typer.Option(min=0, max=_MOST_DAYS, help="Days that the old key holds beside the new one; 0 ends it at once."),
    ] = 7,
    form: options.Format = "table",
) -> None:
    """Make the successor of a key and print it; the old one holds until the overlap is over. Nothing restarts."""
    from clapometer.gate import rotated, save_keys

    settings = load_settings()
    now = wiring.utc_now()
    key, keys = rotated(_stored(settings), key_id, now=now, until=now + dt.timedelta(days=overlap_days))
    save_keys(settings.keys_file, keys)
    _print(form, key, {"key": key, **_public(keys[-1])})


@app.command()
def edit(
    key_id: Annotated[str, typer.Argument(help="Id of the key, as `keys list` shows it.")],
    origin: Annotated[
        list[str] | None,
        typer.Option(help="Only pages of this origin may use it from now on; repeatable; replaces what was set."),
    ] = None,
    any_origin: Annotated[bool, typer.Option("--any-origin", help="Pages of every origin may use it.")] = False,
    name: Annotated[str | None, typer.Option(help="What you call it.")] = None,
    days: Annotated[int | None, typer.Option(min=1, max=_MOST_DAYS, help="Days from now until it expires.")] = None,
    never_expires: Annotated[bool, typer.Option("--never-expires", help="It does not expire.")] = False,
    form: options.Format = "table",
) -> None:
    """Change origins, name or end of a key; the key itself stays, and running services follow within a second."""
    from clapometer.gate import edited, save_keys

    if origin and any_origin:
        msg = "give --origin or --any-origin, not both"
        raise InputError(msg, "origin")
    if days is not None and never_expires:
        msg = "give --days or --never-expires, not both"
        raise InputError(msg, "days")
    if not (origin or any_origin or name is not None or days is not None or never_expires):
        msg = "say what to change: --origin, --any-origin, --name, --days or --never-expires"
        raise InputError(msg)
    settings = load_settings()
    end = msgspec.UNSET if days is None else wiring.utc_now() + dt.timedelta(days=days)
    keys = edited(
        _stored(settings), key_id, origins=() if any_origin else origin, name=name,
        expires=None if never_expires else end,
    )  # fmt: skip
    save_keys(settings.keys_file, keys)
    (changed,) = (key for key in keys if key.id == key_id)
    until = "never expires" if changed.expires is None else f"expires {changed.expires:%Y-%m-%d}"
    _print(form, f"{key_id}: origins {' '.join(changed.origins) or 'any'}; {until}", _public(changed))


_TOLD: dict[str, Callable[["ApiKey"], str]] = {
    "id": lambda key: key.id,
    "kind": lambda key: key.kind,
    "tenant": lambda key: key.tenant,
    "name": lambda key: key.name,
    "created": lambda key: f"{key.created:%Y-%m-%d}",
    "expires": lambda key: "never" if key.expires is None else f"{key.expires:%Y-%m-%d}",
    "origins": lambda key: " ".join(key.origins) or "any",
    "proof": lambda key: "sent" if key.signing is None else "signs",
}
"""What is told of a key, by the header of its column."""


@app.command("list")
def list_keys(
    wide: Annotated[bool, typer.Option("--wide", help="Everything in full, however wide the terminal is.")] = False,
    form: options.Format = "table",
) -> None:
    """List the keys; what is secret of them is not stored and not shown."""
    from clapometer.terminal.tables import Column, chosen, fitted

    keys = _stored(load_settings())
    if form == "json":
        echo_json(msgspec.json.encode([_public(key) for key in keys]))
        return
    columns = [
        Column(name, name, [Text(told(key)) for key in keys], right=False, short=name in {"name", "tenant", "origins"})
        for name, told in _TOLD.items()
    ]
    console = Console(width=10_000 if wide else None)
    shown = chosen(columns, ("id", "kind", "tenant", "name", "expires", "origins"), ("proof", "created"), console.width)
    console.print(fitted(shown, console.width))


@app.command()
def revoke(
    key_id: Annotated[str, typer.Argument(help="Id of the key, as `keys list` shows it.")],
    form: options.Format = "table",
) -> None:
    """Revoke a key; running services refuse it within a second."""
    from clapometer.gate import save_keys, unknown_key

    settings = load_settings()
    keys = _stored(settings)
    left = tuple(key for key in keys if key.id != key_id)
    if len(left) == len(keys):
        raise unknown_key(keys, key_id)
    save_keys(settings.keys_file, left)
    _print(form, f"revoked {key_id}", {"revoked": key_id})


@app.command("rotate-tokens")
def rotate_tokens(form: options.Format = "table") -> None:
    """Sign impression tokens with a fresh secret; tokens signed before stay valid until they expire."""
    secrets = rotate_token_secrets(load_settings().tokens_file)
    said = (
        f"{secrets.current} signs within a second; {', '.join(secrets.keys)} verify\n"
        "once their last tokens have expired (`token_seconds`), take old ones out: `keys retire-token`"
    )
    _print(form, said, {"signs": secrets.current, "verify": [*secrets.keys]})


@app.command("retire-token")
def retire_token(
    key_id: Annotated[str, typer.Argument(help="Id of a secret that no longer signs.")], form: options.Format = "table"
) -> None:
    """Take a secret of impression tokens out; tokens that it signed weigh nothing from now on."""
    secrets = retire_token_secret(load_settings().tokens_file, key_id)
    said = f"{', '.join(secrets.keys)} verify; {secrets.current} signs"
    _print(form, said, {"signs": secrets.current, "verify": [*secrets.keys]})


def _stored(settings: Settings) -> "tuple[ApiKey, ...]":
    from clapometer.gate import load_keys

    return load_keys(settings.keys_file) if settings.keys_file.exists() else ()


def _public(key: "ApiKey") -> dict[str, object]:
    """Returns what a program may know of a key: nothing that is secret."""
    return {
        "id": key.id, "kind": key.kind, "tenant": key.tenant, "name": key.name, "created": key.created,
        "expires": key.expires, "origins": key.origins, "signs": key.signing is not None,
    }  # fmt: skip


def _print(form: str, said: str, told: dict[str, object]) -> None:
    """Prints a sentence for people, or the same for programs."""
    if form == "json":
        echo_json(msgspec.json.encode(told))
    else:
        echo(said)
