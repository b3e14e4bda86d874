"""What articles cost."""

CENTS = {"scarf": 2450, "hat": 1995, "coat": 18900}


def total(articles):
    """The price of all of them, in cents."""
    return sum(CENTS[article] * number for article, number in articles.items())
