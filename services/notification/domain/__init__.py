"""The rules of notification, pure."""
