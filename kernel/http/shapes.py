"""Serializers on hot paths: the same wire, a fraction of the work.

DRF builds and copies every field anew for each request, and asks each of them for its value. What
that yields depends on the class alone, so here it is worked out once.
"""

from collections import namedtuple
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC
from functools import cache
from operator import attrgetter
from typing import Any, ClassVar, Final, TypeVar, cast

import orjson
from django.core.exceptions import FieldError, ObjectDoesNotExist
from django.db.models import Model, QuerySet
from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail
from rest_framework.fields import Field

M = TypeVar("M", bound=Model)
IN = TypeVar("IN")
NO_SUCH_FIELD: Final = ErrorDetail("There is no such field.", "unknown")
METADATA_BYTES: Final = 64_000
METADATA_DEPTH: Final = 50  # orjson writes 254 levels, and pages add some of their own
Show = Callable[[Any], Any]
# Their values are what the renderer writes.
AS_IT_IS = (
    serializers.BigIntegerField,
    serializers.BooleanField,
    serializers.CharField,
    serializers.ChoiceField,
    serializers.EmailField,
    serializers.FloatField,
    serializers.IntegerField,
    serializers.JSONField,
    serializers.ReadOnlyField,
    serializers.UUIDField,
)


class StrictInput(serializers.Serializer[IN]):
    """A body of known fields alone, where one that is left unread would mislead.

    Whoever sends `{"password": "..."}` to a route that changes none must not believe that it did.
    """

    def to_internal_value(self, data: Any) -> Any:
        """As DRF's; raises ValidationError that names every field that does not exist."""
        if isinstance(data, Mapping) and (unknown := sorted(set(map(str, data)) - {*self.fields})):
            raise serializers.ValidationError(dict.fromkeys(unknown, NO_SUCH_FIELD))
        return super().to_internal_value(data)


class Metadata(serializers.DictField):
    """A JSON object of the caller's own, at most 64 KB."""

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        """The object, if it fits and PostgreSQL can hold it."""
        value: dict[str, Any] = super().to_internal_value(data)
        if _is_deep(value, METADATA_DEPTH):
            raise serializers.ValidationError(f"Nest at most {METADATA_DEPTH} levels.")
        if len(orjson.dumps(value)) > METADATA_BYTES:
            raise serializers.ValidationError("Send at most 64 KB.", code="max_length")
        if _holds_nul(value):
            raise serializers.ValidationError("Null characters are not allowed.")
        return value


def _is_deep(value: Any, levels: int) -> bool:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return levels < 0 or any(_is_deep(item, levels - 1) for item in inner)


def _holds_nul(value: Any) -> bool:
    if isinstance(value, dict):
        return any(_holds_nul(part) for pair in value.items() for part in pair)
    if isinstance(value, list):
        return any(_holds_nul(item) for item in value)
    return isinstance(value, str) and "\x00" in value


@dataclass(frozen=True, slots=True)
class _Plan:
    """How a model is shown: attributes read at once, then what differs.

    `columns` are the same attributes as lookups of the ORM, and behind them what methods read; it
    is empty if some are no columns.
    """

    names: tuple[str, ...]
    read_names: tuple[str, ...]
    read: Callable[[Any], tuple[Any, ...]]
    shows: tuple[tuple[str, Show], ...]
    methods: tuple[tuple[str, str], ...]
    columns: tuple[str, ...]

    def show(self, values: Sequence[Any], row: Any, methods: object) -> dict[str, Any]:
        """`values` under their names; those of `methods` are asked about `row`."""
        shown = dict.fromkeys(self.names)
        shown.update(zip(self.read_names, values, strict=False))
        for name, show in self.shows:
            if shown[name] is not None:
                shown[name] = show(shown[name])
        for name, method in self.methods:
            shown[name] = getattr(methods, method)(row)
        return shown


class RowOutput(serializers.ModelSerializer[M]):
    """A ModelSerializer for answers.

    Fields of other kinds than those here (nested serializers, say) are shown in DRF's way, all of
    them. What it is told of fields stays true, so the OpenAPI document does too.
    """

    # Columns that its methods read, all of them. Without it lists are read as instances.
    method_columns: ClassVar[tuple[str, ...]] = ()

    def to_representation(self, instance: M) -> dict[str, Any]:
        """The instance as JSON has it, but for UUIDs and instants, which the renderer writes."""
        plan = _plan(type(self))
        if plan is None:
            return super().to_representation(instance)
        try:
            values = plan.read(instance)
        except (AttributeError, ObjectDoesNotExist):
            # Something on the way to a value is not there: DRF knows what is shown then.
            return super().to_representation(instance)
        return plan.show(values, instance, self)


@dataclass(frozen=True, slots=True)
class Listing:
    """How a list of rows is read and shown."""

    read: Callable[[QuerySet[Any]], QuerySet[Any]]
    show: Callable[[list[Any]], list[Any]]


def listing(output: type[serializers.BaseSerializer[Any]]) -> Listing:
    """For lists shown as `output`: as bare columns if it has nothing else, else as instances."""
    return _listing(cast("Any", output))


@cache
def _listing(output: type[Any]) -> Listing:
    plan = _plan(output) if issubclass(output, RowOutput) else None
    if plan is None or not plan.columns:
        return Listing(lambda rows: rows, lambda rows: list(output(rows, many=True).data))
    columns, methods = plan.columns, output()
    row_class = namedtuple("Columns", columns)  # type: ignore[misc]  # what methods read is data

    def show(rows: list[Any]) -> list[Any]:
        return [plan.show(row, row_class._make(row), methods) for row in rows]

    return Listing(lambda rows: rows.values_list(*columns), show)


def check(serializer: type[serializers.BaseSerializer[Any]], data: Any) -> Any:
    """What `serializer` makes of a body; raises DRF's ValidationError (422).

    One instance validates for everybody: its fields hold no state of a request.
    """
    try:
        return _checker(cast("Any", serializer)).run_validation(data)
    except serializers.ValidationError:
        # Told in full by an instance that is asked in the usual way.
        asked = serializer(data=data)
        asked.is_valid(raise_exception=True)
        return asked.validated_data


@cache
def _checker(serializer: type[Any]) -> Any:
    return serializer()


@cache
def _plan(serializer: type[RowOutput[Any]]) -> _Plan | None:
    """None if a field is of a kind that only DRF knows how to show."""
    fields = [field for field in serializer().fields.values() if not field.write_only]
    methods = [field for field in fields if isinstance(field, serializers.SerializerMethodField)]
    others = [field for field in fields if field not in methods]
    model = serializer.Meta.model
    if len(others) < 2 or not all(_is_known(field, model) for field in others):
        return None
    paths = [".".join(field.source_attrs) for field in others]
    shows = [(str(field.field_name), _show(field)) for field in others]
    return _Plan(
        names=tuple(str(field.field_name) for field in fields),
        read_names=tuple(str(field.field_name) for field in others),
        read=attrgetter(*paths),
        shows=tuple((name, show) for name, show in shows if show is not None),
        methods=tuple((str(f.field_name), str(f.method_name)) for f in methods),
        columns=_columns(serializer, paths, methods=bool(methods)),
    )


def _columns(
    serializer: type[RowOutput[Any]], paths: Sequence[str], *, methods: bool
) -> tuple[str, ...]:
    """`paths` as lookups; nothing if one of them is no column, or what methods read is not said."""
    if methods and not serializer.method_columns:
        return ()
    more = [column for column in serializer.method_columns if column not in paths]
    columns = [path.replace(".", "__") for path in (*paths, *more)]
    try:
        QuerySet(serializer.Meta.model).values_list(*columns)
    except FieldError:
        return ()
    return tuple(columns)


def _is_known(field: "Field[Any, Any, Any, Any]", model: type[Model]) -> bool:
    if callable(getattr(model, field.source_attrs[0], None)):
        return False  # a method, which DRF calls
    if isinstance(field, serializers.ListField):
        return type(field.child) in {serializers.CharField, serializers.JSONField}
    return type(field) in {*AS_IT_IS, serializers.DateTimeField, serializers.DecimalField}


def _show(field: "Field[Any, Any, Any, Any]") -> Show | None:
    if isinstance(field, serializers.DateTimeField):
        return _utc
    if isinstance(field, serializers.DecimalField):
        return f"{{:.{field.decimal_places}f}}".format
    return None


def _utc(value: Any) -> Any:
    return value.astimezone(UTC)
