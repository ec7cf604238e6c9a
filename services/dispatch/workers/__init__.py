"""Who helps."""
