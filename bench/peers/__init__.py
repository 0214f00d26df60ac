"""What the hub is measured beside; runs in the environment of `requirements/bench.in`."""
