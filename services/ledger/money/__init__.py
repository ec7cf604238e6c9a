"""Money between helpers and residents."""
