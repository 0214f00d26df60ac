# Stands at tasks/operations.py
import os
from os import environ  # refused
from os import path

os.environ["HUB_PORT"]  # refused
os.getenv("HUB_PORT")  # refused
os.cpu_count()
