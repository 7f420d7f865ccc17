"""Coverage-guided fuzzing of body decoding in this process, by atheris; the bodies that found something new are kept.

    python -m tests.fuzz.coverage FOLDER -runs=N

The endpoint is the real one, over a log in memory, so that atheris sees which of our lines a body reaches. Whatever
does not end in a documented answer ends the run with the body that did it.
"""

import datetime as dt
import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["clapometer.collector", "clapometer.domain"], enable_loader_override=False):
    from clapometer.collector.answers import Answer, RefusedError
    from clapometer.collector.config import CollectorConfig
    from clapometer.collector.intake.content import Decompressor, media_of
    from clapometer.collector.intake.judge import block_of, judge, verdict_of
    from clapometer.domain import InputError, decode_batch, decode_lines

from tests.fuzz.bodies import ENCODINGS, MEDIA, ODD_BYTES, dumped

from clapometer.collector import event_examples
from clapometer.collector.intake.content import Media
from clapometer.gate import new_key

_NOW = dt.datetime.now(dt.UTC)
_CONFIG = CollectorConfig()
_UNPACK = Decompressor(_CONFIG)
_KEYS = [new_key(kind, now=_NOW)[1] for kind in ("secret", "publishable")]


def take(data: bytes) -> Answer | RefusedError:
    """Does with a body what the collector does; the first bytes choose layout, encoding and key."""
    media, encoding, key, body = data[:1], data[1:2], data[2:3], data[3:]
    try:
        layout = media_of(MEDIA[(media or b"\x00")[0] % len(MEDIA)])
        name = ENCODINGS[(encoding or b"\x00")[0] % len(ENCODINGS)]
        text = body if name is None else _UNPACK.decode(body, name)
        decode = decode_lines if layout is Media.LINES else decode_batch
        batch = decode(text, _NOW, max_events=_CONFIG.max_events, max_depth=_CONFIG.max_depth)
    except (RefusedError, InputError) as refused:
        return refused if isinstance(refused, RefusedError) else RefusedError(422, str(refused))
    judged = judge(
        batch, _KEYS[(key or b"\x00")[0] % 2], {"t1": b"x" * 32}, _NOW,
        max_browser_age=dt.timedelta(hours=_CONFIG.max_browser_age_hours), confirm_purchases=_CONFIG.confirm_purchases,
        answers_need_tokens=_CONFIG.answers_need_tokens,
    )  # fmt: skip
    block_of(judged, _KEYS[0], _NOW, "0" * 32)
    return verdict_of(judged)


def main() -> None:
    """Fuzzes as libFuzzer's options say."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    examples = [dumped([value]) for value in event_examples(_NOW).values()]
    for number, body in enumerate([*ODD_BYTES, *examples]):
        (folder / f"seed-{number}").write_bytes(b"\x00\x00\x00" + body)
    atheris.Setup(sys.argv, take)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
