"""What every room may use: plain data, errors, events, files, registries, seeds."""
