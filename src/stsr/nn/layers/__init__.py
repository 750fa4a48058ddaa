"""Layers, losses and sums that networks share."""
