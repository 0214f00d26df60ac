# Stands at tasks/views.py
from rest_framework.viewsets import ViewSet

from tasks import operations


class TaskViewSet(ViewSet):
    def create(self, request):
        try:  # refused
            operations.create_task()
        except ValueError:
            raise
