"""Dead letters: tasks that failed for good, and what became of them."""

from django.db import models

from accounts.models import TenantRow
from dead_letters.choices import LetterStatus
from tasks.choices import TaskPriority
from tasks.models import Task


class DeadLetter(TenantRow):
    """What is known of one task's final failures; it outlives every redrive (contract 003 B16).

    `group` is the same for failures that differ in numbers, ids and quoted words only.
    `priority` is the task's, which an ended task keeps: counts need no join.
    """

    task = models.OneToOneField(Task, models.CASCADE, related_name="+")
    status = models.CharField(
        max_length=16, choices=LetterStatus.choices, default=LetterStatus.OPEN
    )
    priority = models.CharField(max_length=16, choices=TaskPriority.choices)
    error_type = models.CharField(max_length=64, blank=True)
    last_error = models.TextField(blank=True)
    group = models.CharField(max_length=16)
    reason = models.TextField(blank=True)
    failures = models.PositiveIntegerField(default=1)
    first_failed_at = models.DateTimeField()
    last_failed_at = models.DateTimeField()
    redrive_count = models.PositiveIntegerField(default=0)
    redriven_at = models.DateTimeField(null=True, blank=True)
    redriven_by = models.CharField(max_length=255, blank=True)

    class Meta:
        indexes = [
            models.Index(
                fields=["organization", "-last_failed_at", "-id"],
                condition=models.Q(status="open"),
                name="dead_letter_open",
            ),
            models.Index(
                fields=["organization", "priority", "error_type", "group"],
                condition=models.Q(status="open"),
                name="dead_letter_counts",
            ),
        ]

    def __str__(self) -> str:
        return self.task.title
