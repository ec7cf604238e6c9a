"""Who is in a building and does not live there."""
