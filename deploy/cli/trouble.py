"""What keeps a command from doing its work, told in one line that says what to do next."""


class Trouble(Exception):
    """Args:
    key: the text in the catalogue.
    values: what the text names.
    """

    def __init__(self, key: str, **values: object) -> None:
        self.key = key
        self.values = values
        super().__init__(f"{key} {values}" if values else key)
