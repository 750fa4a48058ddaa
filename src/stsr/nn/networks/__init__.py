"""One network a file."""
