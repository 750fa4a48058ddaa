"""Networks: attention, losses, and the one way to train; imported only by methods that need torch."""
