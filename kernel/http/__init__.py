"""HTTP, once for all apps: JSON, problems, pages, routes, schema."""
