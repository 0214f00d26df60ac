"""One module per provider SDK, imported only where that provider is configured."""
