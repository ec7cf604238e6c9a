"""A community's day, played against the decisions of dispatch with a clock of its own: no broker, no database."""
