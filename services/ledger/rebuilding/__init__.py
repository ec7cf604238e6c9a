"""Registers beside their entries."""
