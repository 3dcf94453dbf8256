"""Learning: knows no kind, family or task; only something that has a loss and something that feeds it."""
