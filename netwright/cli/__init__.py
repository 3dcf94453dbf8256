"""The command line: one command a file, each parses, calls and prints. Nothing heavy is imported here."""
