"""Who lives here, and who is who."""
