"""Where sections of a bench come from."""
