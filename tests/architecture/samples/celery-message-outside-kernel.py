# Stands at tasks/operations.py
from tasks.tasks import run_task

from kernel import jobs

run_task.delay(task_id="1")  # refused
run_task.apply_async(kwargs={"task_id": "1"})  # refused
jobs.enqueue("tasks.run_task", task_id="1")
delay = 3
