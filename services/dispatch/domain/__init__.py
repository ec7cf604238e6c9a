"""The rules of dispatch, pure."""
