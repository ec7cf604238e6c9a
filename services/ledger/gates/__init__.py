"""What outsiders agreed to, and who came through a gate."""
