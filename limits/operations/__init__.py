"""What people do to limits, and what the hub asks of them."""
