"""What stands in a community."""
