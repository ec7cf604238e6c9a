"""Who stays at home, and until when."""
