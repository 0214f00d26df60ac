"""Other people's tools: MCP servers, OpenAPI services, services of seed 004."""
