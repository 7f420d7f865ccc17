"""What the command line says the same way everywhere: forms of an answer, whose data, exit codes.

What a command is about is an argument; how it does it is an option.
"""

from enum import IntEnum
from typing import Annotated, Literal

import typer

from clapometer.domain import ClapometerError, InputError, NotFoundError

Format = Annotated[Literal["table", "json"], typer.Option("--format", help="`table` for people, `json` for programs.")]
Tenant = Annotated[str, typer.Option(help="Whose data: the name of a tenant.")]
EveryTenant = Annotated[str | None, typer.Option(help="Whose data: the name of a tenant; everybody's if left out.")]

Wait = Annotated[bool, typer.Option("--wait", help="End once all that was sent is loaded, and can be ranked.")]
PatienceSeconds = Annotated[
    float, typer.Option(min=0, help="How long to wait while no loader gets on with what waits in the log, in seconds.")
]


class Exit(IntEnum):
    """How a command ended, for the program that called it."""

    DONE = 0
    FAULT = 1
    USAGE = 2
    NOTHING_THERE = 3


EXITS = {
    Exit.DONE: "done",
    Exit.FAULT: "it failed, or what was asked is answered with no (`audit`, `compare --require`, `doctor`, `checksum`)",
    Exit.USAGE: "the input, an option or a setting is wrong",
    Exit.NOTHING_THERE: "what is asked for is not there, or not yet: a lake, a ranking, a clip, a viewer, a run, a key",
}
"""What each means; the reference of the commands shows it."""


def exit_of(error: ClapometerError) -> Exit:
    """Returns how a command ends that raised an error."""
    if isinstance(error, InputError):
        return Exit.USAGE
    return Exit.NOTHING_THERE if isinstance(error, NotFoundError) else Exit.FAULT
