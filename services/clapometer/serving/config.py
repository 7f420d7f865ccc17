"""Every choice of serving, in one frozen value."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

from clapometer.http.connections import ConnectionLimits

Policy = Literal["ranked", "uniform"]


@dataclass(frozen=True, kw_only=True)
class ServingConfig:
    """How rankings are shown and slates are made. Sizes are bytes, times seconds, shares lie in [0, 1].

    Attributes:
        public_tenant: Whose rankings and page need no key; ``None`` where every reader needs a secret key.
        explore_share: Share of slots that a ranked slate fills uniformly at random.
        explore_shares: The same for single surfaces, by name.
        max_candidates: Most candidates of one slate.
        max_slots: Most slots of one slate.
        default_slots: Slots of a slate whose request names no number.
        max_body_bytes: Longest body of a request.
        token_seconds: How long the token of an impression is valid.
        voucher_seconds: How long the voucher of a session is valid.
        cors_origins: Origins whose pages may ask for slates; ``*`` for all. Those of the keys are added.
        refresh_seconds: How long scores and withdrawals may lag behind the published file.
        cached_clips: Most clips whose model version and prompt are kept in memory.
        threads: Threads that read the lake for requests.
        duckdb_threads: Threads of DuckDB itself.
        memory_limit: DuckDB's memory.
        default_limit: Items of a ranking where the request names no number.
        max_limit: Most items of one answer.
        page_items: Rows of each table on the page.
        sql_seconds: Time after which a statement of ``/v1/sql`` is stopped.
        sql_memory: Its memory in DuckDB.
        sql_max_rows: Rows after which its answer ends.
        sql_max_bytes: Size after which its answer ends.
        sql_min_viewers: Viewers that each cell of its answer must have; below 2, single rows may be read.
        sql_per_key: Statements of one key under way at once.
        sql_in_all: Statements under way at once.
        connections: What connections may cost.
    """

    public_tenant: str | None = "default"
    explore_share: float = 0.1
    explore_shares: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    max_candidates: int = 500
    max_slots: int = 50
    default_slots: int = 10
    max_body_bytes: int = 256 << 10
    token_seconds: int = 86_400
    voucher_seconds: int = 3_600
    cors_origins: tuple[str, ...] = ("*",)
    refresh_seconds: float = 2.0
    cached_clips: int = 200_000
    threads: int = 4
    duckdb_threads: int = 2
    memory_limit: str = "1GB"
    default_limit: int = 100
    max_limit: int = 1_000
    page_items: int = 25
    sql_seconds: float = 30.0
    sql_memory: int = 512 << 20
    sql_max_rows: int = 100_000
    sql_max_bytes: int = 64 << 20
    sql_min_viewers: int = 0
    sql_per_key: int = 2
    sql_in_all: int = 4
    connections: ConnectionLimits = field(default_factory=ConnectionLimits)

    def share_for(self, surface: str | None) -> float:
        """Returns the share of slots that are explored on a surface."""
        return self.explore_share if surface is None else self.explore_shares.get(surface, self.explore_share)
