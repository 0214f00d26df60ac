"""The web process: WebSockets on the event loop, Django behind them on threads, one port."""
