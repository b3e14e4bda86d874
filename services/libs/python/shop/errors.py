"""What may go wrong between services."""


class Unavailable(Exception):
    """A database or a neighbour cannot answer now; the same request may succeed later."""
