"""The modules of the recommender: each looks at one thing only and scores products from 0 to 1.

A module knows nothing of the others. Add one here and give it a weight in mix.py, and it takes part.
"""

from dataclasses import dataclass, field
from datetime import date

FRESH_FOR = 60  # days


@dataclass(frozen=True)
class Moment:
    """What a visitor looks at, and the shop at that moment."""

    products: dict  # all that is for sale, by slug
    focus: tuple  # slugs: the product of the page, or what is in the cart
    history: object
    today: date = field(default_factory=date.today)


def together(moment):
    """Bought together with what is looked at."""
    return share_of_most(moment.history.bought_with(moment.focus)) if moment.focus else {}


def category(moment):
    """Of the same kind as what is looked at."""
    kinds = {moment.products[slug]["category"] for slug in moment.focus if slug in moment.products}
    return {slug: 1.0 for slug, product in moment.products.items() if product["category"] in kinds}


def popular(moment):
    """Bought and looked at by many of late."""
    return share_of_most(moment.history.demand())


def fresh(moment):
    """New here; fades within two months."""
    ages = {slug: (moment.today - date.fromisoformat(p["released_at"])).days for slug, p in moment.products.items()}
    return {slug: 1 - age / FRESH_FOR for slug, age in ages.items() if 0 <= age < FRESH_FOR}


def share_of_most(counts):
    most = max(counts.values(), default=0)
    return {slug: count / most for slug, count in counts.items()} if most else {}


MODULES = {"together": together, "category": category, "popular": popular, "fresh": fresh}
