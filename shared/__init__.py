"""The runtime that every service stands on, and the contracts between them."""
