"""How wrong and how good: losses, metrics and intervals. Pure functions that know no file, kind or network."""
