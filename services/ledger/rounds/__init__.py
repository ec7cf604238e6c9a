"""Rosters that are worked through, until nobody is missing."""
