"""Wire shapes of knowledge (contract 003 B11)."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from kernel.http.shapes import RowOutput
from knowledge.models import KnowledgeEntry

CONTENT_CHARACTERS = 2_000_000


class EntryInput(serializers.Serializer[Any]):
    """`POST /knowledge`."""

    title = serializers.CharField(max_length=500)
    content = serializers.CharField(
        max_length=CONTENT_CHARACTERS, trim_whitespace=False, help_text="Markdown, at most 2 MB."
    )
    category = serializers.CharField(max_length=64, default="general")
    tags = serializers.ListField(
        child=serializers.CharField(max_length=64), max_length=50, required=False
    )
    source = serializers.CharField(  # type: ignore[assignment]
        max_length=1000, default="", allow_blank=True
    )


class EntryOutput(RowOutput[KnowledgeEntry]):
    """An entry, whole."""

    class Meta:
        model = KnowledgeEntry
        fields = [
            "id",
            "title",
            "content",
            "category",
            "tags",
            "source",
            "created_at",
            "updated_at",
        ]
        read_only_fields = fields


class PassageOutput(serializers.Serializer[Any]):
    """Where in an entry the words of `search` were found."""

    text = serializers.CharField()
    highlight = serializers.CharField(
        source="highlighted", help_text="HTML: an escaped extract, `<mark>` around what was found."
    )
    heading = serializers.CharField(help_text="The headings above, outermost first.")
    rank = serializers.FloatField(help_text="Higher is better.")


class EntryItemOutput(EntryOutput):
    """An entry in a list."""

    content = serializers.CharField(source="excerpt", help_text="The first 500 characters.")
    passages = serializers.SerializerMethodField(help_text="Only with `search`.")

    class Meta(EntryOutput.Meta):
        fields = [*EntryOutput.Meta.fields, "passages"]
        read_only_fields = fields

    @extend_schema_field(PassageOutput(many=True))
    def get_passages(self, entry: KnowledgeEntry) -> list[dict[str, Any]]:
        """From the context: the view looks them up for the whole page at once."""
        found = self.context["passages"].get(entry.pk, [])
        return list(PassageOutput(found, many=True).data)
