"""Published methods of super-resolution."""
