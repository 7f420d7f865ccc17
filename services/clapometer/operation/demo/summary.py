"""What the demo came to."""

import msgspec


class DemoSummary(msgspec.Struct, frozen=True):
    """What the demo came to; ``duplicates`` counts events, of rows that the recorded file repeats."""

    acknowledged: int
    received: int
    stored: int
    duplicates: int
    rejected: int
    suppressed: int
    ledger_difference: int
    seconds: float
    tau: float
    tau_completion_rate: float
    tau_prompts: float
    covered: float
    repeated_rows: int
    excluded: dict[str, int]
    lake: str
    addresses: dict[str, str]
    pid: int | None
