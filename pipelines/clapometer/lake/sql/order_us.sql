-- Microseconds since 1970 by which events of several clients are ordered; what one client says stays in its own order.
-- Each client's clock is set by the event that was on its way for the shortest time. Where no delay explains how far
-- they are apart, the clock was set in between, and each event stands where it was corrected to (ADR 17).
-- Reads  time, client_time, and the window clock: the events of one source about one thing.
CASE
    WHEN max(epoch_us(time) - epoch_us(client_time)) OVER clock - min(epoch_us(time) - epoch_us(client_time)) OVER clock
        <= 7 * 86_400_000_000
    THEN epoch_us(client_time) + min(epoch_us(time) - epoch_us(client_time)) OVER clock
    ELSE epoch_us(time)
END
