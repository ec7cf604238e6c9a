"""What somebody answers for until it has its end."""
