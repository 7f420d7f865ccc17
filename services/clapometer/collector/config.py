"""Every limit of the collector, in one frozen value."""

from dataclasses import dataclass

from clapometer.http.connections import ConnectionLimits


@dataclass(frozen=True, kw_only=True)
class CollectorConfig:
    """What the collector takes and refuses. Sizes are bytes, times seconds.

    Attributes:
        max_body_bytes: Longest body of a request as it travels.
        max_decoded_bytes: Longest body after decompression.
        max_beacon_bytes: Longest ``text/plain`` body, which is what ``sendBeacon`` posts.
        max_events: Most events of one request.
        max_depth: Deepest nesting of JSON arrays and objects.
        max_browser_age_hours: How long before it is sent what a publishable key sends may have happened, in hours.
        answers_need_tokens: What a publishable key says of an impression weighs if it quotes the impression's token.
        confirm_purchases: Purchases and refunds of a publishable key count once a secret key sends the same order.
        max_ratio: How many times its compressed size a body may have, once beyond ``ratio_free_bytes``.
        ratio_free_bytes: Decompressed size to which no ratio applies: a few alike events compress very well.
        request_seconds: Longest time that a request may take to arrive, and a new connection may be silent.
        max_head_bytes: Longest head (request line and headers) of a request.
        keep_alive_seconds: How long an idle connection is kept.
        max_connections: Most connections; beyond it requests are answered 503.
        max_bytes_in_flight: Most bytes of bodies held at once, from arrival until they are durable.
        max_per_address: Most connections of one address; beyond it they are ended.
        retry_after_seconds: What 503 answers tell the sender to wait.
        cors_origins: Origins whose pages may read answers; ``*`` for all. Those of the keys are added.
    """

    max_body_bytes: int = 1 << 20
    max_decoded_bytes: int = 1 << 20
    max_beacon_bytes: int = 64 << 10
    max_events: int = 500
    max_depth: int = 16
    max_browser_age_hours: float = 48
    answers_need_tokens: bool = True
    confirm_purchases: bool = True
    max_ratio: float = 20
    ratio_free_bytes: int = 64 << 10
    request_seconds: float = 15
    max_head_bytes: int = 32 << 10
    keep_alive_seconds: int = 30
    max_connections: int = 2_048
    max_per_address: int = 512
    max_bytes_in_flight: int = 32 << 20
    retry_after_seconds: int = 2
    cors_origins: tuple[str, ...] = ("*",)

    @property
    def connections(self) -> ConnectionLimits:
        """What connections may cost."""
        return ConnectionLimits(
            request_seconds=self.request_seconds,
            keep_alive_seconds=self.keep_alive_seconds,
            max_head_bytes=self.max_head_bytes,
            max_connections=self.max_connections,
            max_per_address=self.max_per_address,
        )
