"""The deployment in containers, on a real Docker Engine."""
