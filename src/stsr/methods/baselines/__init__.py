"""Interpolation of spots, regression on image features, and their weighted mean."""
