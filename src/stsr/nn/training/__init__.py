"""How networks are trained, and where."""
