"""Redis, seen from the events: the channel of envelopes and the sender of live ones."""
