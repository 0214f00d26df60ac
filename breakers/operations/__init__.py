"""What people decide about breakers, and the calls that pass them."""
