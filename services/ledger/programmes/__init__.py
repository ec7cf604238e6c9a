"""Everybody of a category, a list, a building or a grid is looked after."""
