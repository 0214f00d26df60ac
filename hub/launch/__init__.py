"""`manage.py up`: one supervisor that starts servers, web, worker and scheduler."""
