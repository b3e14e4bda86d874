"""A past for the shop: orders of the last three months, so that recommendations have something to go by."""

import random
from datetime import UTC, datetime, timedelta

from shop import logs
from shop.database import postgres

# What people like to buy together, with prices in cents.
OUTFITS = [
    {"nordby-fisherman-sweater": 12900, "indigo-straight-jeans": 10900, "wave-beanie": 2900, "skagen-rain-jacket": 16900},
    {"harbour-breton-tee": 4900, "workshop-jacket": 13900, "tove-chinos": 8900, "market-tote": 2400},
    {"oxford-no-4": 7900, "tove-chinos": 8900, "alder-wool-coat": 27900, "long-walk-scarf": 5900},
    {"ines-linen-dress": 11900, "market-tote": 2400, "marit-cardigan": 10900},
    {"meadow-dress": 12900, "bergen-quilted-jacket": 18900, "fjell-roll-neck": 9900},
    {"sol-wrap-dress": 13900, "market-tote": 2400, "linea-tee": 3500},
    {"pleat-skirt": 8900, "fjell-roll-neck": 9900, "lund-striped-knit": 8900},
    {"atlas-wide-trousers": 11900, "lund-striped-knit": 8900, "oxford-no-4": 7900, "alder-wool-coat": 27900},
    {"pine-hoodie": 7500, "plain-good-tee": 2900, "indigo-straight-jeans": 10900, "wave-beanie": 2900},
    {"ditte-checked-shirt": 8400, "plain-good-tee": 2900, "workshop-jacket": 13900, "indigo-straight-jeans": 10900},
]
ORDERS = 320
VIEWS_PER_PURCHASE = 3


def history(now, chance):
    """Rows of purchases and views: each order is some pieces of one outfit, now and then with one of another."""
    purchases, views = [], []
    for number in range(ORDERS):
        outfit = chance.choice(OUTFITS)
        basket = dict(chance.sample(sorted(outfit.items()), chance.randint(1, len(outfit))))
        if chance.random() < 0.2:
            basket.update([chance.choice(sorted(chance.choice(OUTFITS).items()))])
        placed = now - timedelta(minutes=chance.randint(60, 90 * 24 * 60))
        visitor = f"past-{number % 200:03}"
        for product, price in basket.items():
            purchases.append((f"past-{number:04}", product, 1, price, visitor, placed))
            for view in range(chance.randint(1, VIEWS_PER_PURCHASE)):
                seen = placed - timedelta(minutes=view + 1)
                views.append((f"past-{number:04}-{product}-{view}", product, visitor, seen))
    return purchases, views


def seed(database, now):
    purchases, views = history(now, random.Random(1896))
    with database.transaction() as cursor:
        for row in purchases:
            cursor.execute("insert into purchases values (%s, %s, %s, %s, %s, %s) on conflict do nothing", row)
        for row in views:
            cursor.execute("insert into views values (%s, %s, %s, %s) on conflict do nothing", row)
    return len(purchases)


if __name__ == "__main__":
    logs.begin()
    logs.say(f"the past holds {seed(postgres('ANALYTICS', timeout=60), datetime.now(UTC))} purchases")
