"""The numbers of days."""
