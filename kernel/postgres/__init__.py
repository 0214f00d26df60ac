"""Django's PostgreSQL backend, with two things that every request pays for made cheaper."""
