"""Interpolation of spots, regression on image features, and a stack of both."""
