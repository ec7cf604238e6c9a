"""The four services: intake, dispatch, notification, ledger."""
