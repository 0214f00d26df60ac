"""What agents remember from one run to the next."""

from django.db import models

from accounts.models import TenantRow
from agents.models import Agent
from memory.choices import LEAST, MOST, USUAL, MemoryCategory


class Memory(TenantRow):
    """One thing that one agent remembers; the same text only once (contract 003 B18).

    `execution_id` is the run that wrote it, null if a person did. `content_hash` is the SHA-256 of
    the text.
    """

    agent = models.ForeignKey(Agent, models.CASCADE, related_name="+")
    content = models.TextField()
    content_hash = models.CharField(max_length=64)
    category = models.CharField(
        max_length=16, choices=MemoryCategory.choices, default=MemoryCategory.GENERAL
    )
    importance = models.PositiveSmallIntegerField(default=USUAL)
    metadata = models.JSONField(default=dict, blank=True)
    execution_id = models.UUIDField(null=True, blank=True)

    class Meta:
        verbose_name_plural = "memories"
        constraints = [
            models.UniqueConstraint(fields=["agent", "content_hash"], name="memory_text_unique"),
            models.CheckConstraint(
                condition=models.Q(importance__range=(LEAST, MOST)), name="memory_importance"
            ),
        ]
        indexes = [
            models.Index(
                fields=["agent", "-importance", "-created_at", "-id"], name="memory_foremost"
            ),
            models.Index(fields=["organization", "-created_at", "-id"], name="memory_newest"),
        ]

    def __str__(self) -> str:
        return self.content[:80]
