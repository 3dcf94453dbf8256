"""How wrong and how good: losses, metrics, intervals. Pure functions that know no file or network."""
