"""From the user's files to batches."""
