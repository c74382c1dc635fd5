"""What a user of `Backtest` can get wrong."""


class BadInput(ValueError):
    """A strategy file, price file or argument that cannot be used. `mistakes` holds one sentence each."""

    def __init__(self, *mistakes: str) -> None:
        super().__init__("\n".join(mistakes))
        self.mistakes = mistakes
