"""Right JSON in another spelling than our own encoder's.

JSON Schema calls 3.0 and 1e3 integers, and senders write a byte order mark or a final U+0000 around their JSON. A
strict decoder is fast because it knows nothing of this: only what it refused is read once more, and spelt as it wants.
"""

from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Generic, TypeVar

import msgspec
import msgspec.inspect as types

from clapometer.domain.errors import InputError

T = TypeVar("T")
Respell = Callable[[object], object]
"""Returns a decoded JSON value with whole numbers as such, wherever a type wants them."""

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
SPACE = b" \t\r\n"
_MOST_DIGITS = 40
"""More digits than any whole number of ours has; 1e999999999 would fill the memory."""
_MARKS = {b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16", b"\x00\x00\xfe\xff": "UTF-32", b"\xff\xfe\x00\x00": "UTF-32"}

_ANYTHING = msgspec.json.Decoder(float_hook=Decimal)
_AS_NUMBERS = msgspec.json.Encoder(decimal_format="number")


class TolerantDecoder(Generic[T]):
    """Decodes JSON into a type, whole numbers in any spelling that JSON Schema has for them."""

    def __init__(self, kind: type[T]) -> None:
        self.kind = kind
        self._strict: msgspec.json.Decoder[T] = msgspec.json.Decoder(kind)
        self._respell = respeller(kind)

    def decode(self, raw: bytes) -> T:
        """Returns what ``raw`` spells.

        Raises:
            msgspec.MsgspecError: It is not JSON, or not of the type.
        """
        try:
            return self._strict.decode(raw)
        except msgspec.ValidationError:
            value = decoded(raw)
            if value is None:
                raise
            return self._strict.decode(encoded(self._respell(value)))


def decoded(raw: bytes) -> object:
    """Returns the value that JSON spells, numbers with all their digits; ``None`` where it is no JSON."""
    try:
        return _ANYTHING.decode(raw)
    except (msgspec.MsgspecError, RecursionError, UnicodeError, InvalidOperation, ValueError):
        return None


def encoded(value: object) -> bytes:
    """Returns the JSON of a value from `decoded`."""
    return _AS_NUMBERS.encode(value)


def respeller(kind: object) -> Respell:
    """Returns what respells the values of a type."""
    return _whole_numbers(types.type_info(kind)) or (lambda value: value)


def _whole_numbers(kind: types.Type) -> Respell | None:
    """Returns what respells the values of a type; ``None`` where it wants no whole number anywhere."""
    found: Respell | None = None
    match kind:
        case types.IntType():
            found = _whole
        case types.Metadata(type=inner):
            found = _whole_numbers(inner)
        case types.UnionType(types=members):
            found = _of_union(members)
        case types.StructType(fields=fields):
            each = {field.encode_name: _whole_numbers(field.type) for field in fields}
            found = _of_fields({name: respell for name, respell in each.items() if respell is not None})
        case types.ListType(item_type=item) | types.VarTupleType(item_type=item):
            found = _of_items(_whole_numbers(item))
        case types.TupleType(item_types=items):
            found = _of_places([_whole_numbers(item) for item in items])
        case types.DictType(value_type=value):
            found = _of_values(_whole_numbers(value))
    return found


def plain_text(body: bytes) -> bytes:
    """Returns a body without byte order mark, blanks around it and U+0000 at its end.

    Raises:
        InputError: It is UTF-16 or UTF-32.
    """
    name = next((name for mark, name in _MARKS.items() if body.startswith(mark)), None)
    if name is None and b"\0" in body[:2]:  # without a mark: JSON starts with an ASCII character
        name = "UTF-16 or UTF-32"
    if name is not None:
        msg = f"the body is {name}; send it as UTF-8"
        raise InputError(msg, code="malformed")
    return body.removeprefix(BYTE_ORDER_MARK).rstrip(SPACE + b"\0").lstrip(SPACE)


def _whole(value: object) -> object:
    if isinstance(value, Decimal) and value.adjusted() < _MOST_DIGITS and value == value.to_integral_value():
        return int(value)
    return value


def _of_union(members: tuple[types.Type, ...]) -> Respell | None:
    """Of several structs the tag says which one a value is; where a number need not be whole, 3.0 stays what it is."""
    rest = [member for member in members if not isinstance(member, types.NoneType)]
    if len(rest) == 1:
        return _whole_numbers(rest[0])
    structs = [member for member in rest if isinstance(member, types.StructType)]
    if len(structs) < len(rest):
        return None
    tag_field = structs[0].tag_field
    by_tag = {struct.tag: _whole_numbers(struct) for struct in structs}

    def respell(value: object) -> object:
        tag = value.get(tag_field) if isinstance(value, dict) else None
        one = by_tag.get(tag) if isinstance(tag, str) else None
        return value if one is None else one(value)

    return respell


def _of_fields(fields: Mapping[str, Respell]) -> Respell | None:
    def respell(value: object) -> object:
        if not isinstance(value, dict):
            return value
        return {name: fields[name](item) if name in fields else item for name, item in value.items()}

    return respell if fields else None


def _of_items(item: Respell | None) -> Respell | None:
    return None if item is None else lambda value: [item(each) for each in value] if isinstance(value, list) else value


def _of_values(item: Respell | None) -> Respell | None:
    if item is None:
        return None
    return lambda value: {name: item(each) for name, each in value.items()} if isinstance(value, dict) else value


def _of_places(places: list[Respell | None]) -> Respell | None:
    def respell(value: object) -> object:
        if not isinstance(value, list) or len(value) != len(places):
            return value
        return [each if place is None else place(each) for place, each in zip(places, value, strict=True)]

    return respell if any(places) else None
