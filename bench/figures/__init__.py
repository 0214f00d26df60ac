"""One module a figure; each has `measure(stage)`, which gives one round of it."""
