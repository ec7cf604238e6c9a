"""What partners owe every day."""
