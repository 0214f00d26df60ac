# Stands at tasks/selectors.py
import hashlib

from django.db import models

from tasks.models import Task

Task.objects.create(title="a")  # refused
Task.objects.bulk_create([Task(title="a")])  # refused
Task.objects.filter(title="a").update(title="b")  # refused
Task.objects.filter(title="a").delete()  # refused
task = Task(title="a")
task.save(update_fields=["title"])  # refused
task.attempts.get_or_create(number=1)  # refused

seen: dict[str, int] = {}
seen.update({"a": 1})
hashlib.sha256().update(b"a")
redis.delete("key")


class TaskQuerySet(models.QuerySet[Task]):
    def close(self) -> int:
        return self.update(title="closed")
