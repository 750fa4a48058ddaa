"""The bench: methods x sections x settings x seeds, each run in a process of its own, scored and reported."""
