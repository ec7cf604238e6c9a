"""Shifts and tasks with places to book."""
