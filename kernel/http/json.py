"""JSON in and out through orjson."""

import json
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import IO, Any, Final

import orjson
from rest_framework.exceptions import ParseError
from rest_framework.parsers import BaseParser
from rest_framework.renderers import BaseRenderer

OPTIONS: Final = orjson.OPT_NON_STR_KEYS | orjson.OPT_UTC_Z


class OrjsonRenderer(BaseRenderer):
    """Renders `application/json`; decimals as strings, so that no cent is lost in a float."""

    media_type = "application/json"
    format = "json"
    charset = None

    def render(
        self,
        data: Any,
        accepted_media_type: str | None = None,
        renderer_context: Mapping[str, Any] | None = None,
    ) -> bytes:
        """`data` as bytes; nothing for None."""
        if data is None:
            return b""
        try:
            return orjson.dumps(data, default=_plain, option=OPTIONS)
        except TypeError:
            # jsonb gives integers of any size back, and orjson takes 64 bits only: one such row
            # must not make its list unreadable. Nor may half a character, which UTF-8 has not.
            return json.dumps(data, default=_plain, ensure_ascii=False).encode(errors="replace")


class OrjsonParser(BaseParser):
    """Parses `application/json`; raises ParseError (400) for anything that is not."""

    media_type = "application/json"

    def parse(
        self,
        stream: IO[Any],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        """The document in `stream`."""
        try:
            return orjson.loads(stream.read())
        except orjson.JSONDecodeError as error:
            raise ParseError(f"The body is not valid JSON: {error}.") from None


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal | bytes):
        return str(value)
    if isinstance(value, datetime):  # in the slow way alone; as orjson writes it
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, Mapping):
        return dict(value)
    if hasattr(value, "__iter__"):
        return list(value)
    return str(value)
