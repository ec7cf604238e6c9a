"""Who is looked after, when, and how it went."""
