"""Real servers on loopback that speak what the hub's outside world speaks."""
