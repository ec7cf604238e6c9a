"""Whole lists of people."""
