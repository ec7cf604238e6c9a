"""Files in and out, whatever is in them."""
