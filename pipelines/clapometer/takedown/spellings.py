r"""Dead letters that quote somebody: the ids in them are compared as values, however JSON spells them.

An id may stand there as ``"a/b"``, as ``"a\/b"``, with letters outside ASCII as ``\u00e9``, or without quotes where
it is a number. What parses is compared value by value; of what does not, cut off or no JSON at all, the strings that
can be told apart are, and every spelling of a viewer's id is sought in its bytes.
"""

import json
import re
from collections.abc import Iterator

import pyarrow as pa

__all__ = ["QUOTED", "spellings"]

_BYTES = "from_base64(t.raw)"
_TEXT = f"CASE t.encoding WHEN 'base64' THEN coalesce(TRY(decode({_BYTES})), {_BYTES}::VARCHAR) ELSE t.raw END"
"""Of bytes that are no UTF-8, those that are ASCII as text and the others as ``\\xC3``."""
_HEX = f"CASE t.encoding WHEN 'base64' THEN hex({_BYTES}) ELSE hex(encode(t.raw)) END"

_TOKENS = r"""regexp_extract_all(text, '"(?:[^"\\]|\\.)*"')"""
_STRINGS = f"""
    list_transform(
        CASE WHEN json_valid(text) THEN CAST(json_extract(text, '$..*') AS VARCHAR[]) || [text] ELSE {_TOKENS} END,
        lambda found: CASE WHEN found LIKE '"%' AND json_valid(found) THEN json_extract_string(found, '$') END
    )
"""
_SCALARS = "CASE WHEN json_valid(text) THEN json_extract_string(text, '$..*') ELSE CAST([] AS VARCHAR[]) END"
_NAMED = " || ".join(
    f"json_extract_string(text, '$..{name}')" for name in ("impression_id", "left_impression_id", "right_impression_id")
)
_IMPRESSIONS = f"{_STRINGS} || CASE WHEN json_valid(text) THEN {_NAMED} ELSE CAST([] AS VARCHAR[]) END"


def _among(values: str, table: str, column: str) -> str:
    """Returns the condition that a table has one of the values for the tenant of ``t``."""
    return (
        f"EXISTS (SELECT 1 FROM (SELECT unnest({values}) AS value FROM (SELECT {_TEXT} AS text)) v "  # noqa: S608
        f"JOIN {table} e ON e.{column} = v.value AND e.tenant = t.tenant)"
    )


QUOTED = (
    f"EXISTS (SELECT 1 FROM spelled e WHERE e.tenant = t.tenant AND contains({_HEX}, e.bytes)) "  # noqa: S608
    f"OR EXISTS (SELECT 1 FROM spelled e WHERE e.tenant = t.tenant AND regexp_matches({_TEXT}, e.number)) "
    f"OR {_among(f'{_STRINGS} || {_SCALARS}', 'erased', 'viewer_id')} "
    f"OR {_among(_IMPRESSIONS, 'seen', 'impression_id')}"
)
"""Which rows ``t`` of ``rejected`` quote an erased viewer, or an impression of one; given ``spelled``, ``erased`` and
``seen``. A number counts as an impression only where it is called so: ``"position": 1`` is not impression 1."""


def spellings(erased: pa.Table) -> pa.Table:
    """Returns the ways to write ids of viewers: ``bytes`` in quotes, as hexadecimal digits, or a ``number``'s pattern.

    Args:
        erased: Viewers, as ``tenant`` and ``viewer_id``.
    """
    rows = [
        {"tenant": viewer["tenant"], **how} for viewer in erased.to_pylist() for how in _spelled(viewer["viewer_id"])
    ]
    columns = [("tenant", pa.string()), ("bytes", pa.string()), ("number", pa.string())]
    return pa.Table.from_pylist(rows, schema=pa.schema(columns))


def _spelled(viewer_id: str) -> Iterator[dict[str, str]]:
    written = {f'"{viewer_id}"', json.dumps(viewer_id), json.dumps(viewer_id, ensure_ascii=False)}
    written |= {text.replace("/", "\\/") for text in written}
    # PHP and JavaScript write the digits of \u00e9 small, as Python does; others large
    written |= {re.sub(r"\\u[0-9a-f]{4}", lambda code: "\\u" + code[0][2:].upper(), text) for text in written}
    for text in sorted(written):
        yield {"bytes": text.encode().hex().upper()}
    if re.fullmatch(r"-?[0-9]+(\.[0-9]+)?", viewer_id):
        yield {"number": rf"(^|[^0-9A-Za-z_.\"-]){re.escape(viewer_id)}($|[^0-9A-Za-z_.\"-])"}
