"""Fills the shelves."""

import json
from datetime import date, timedelta
from pathlib import Path

from shop import logs
from shop.database import mariadb

ASSORTMENT = Path(__file__).parent / "assortment.json"


def rows(today):
    """The assortment as rows; `age` says how many days ago a product came, below 0 it is yet to come."""
    for product in json.loads(ASSORTMENT.read_text(encoding="utf-8")):
        age = product.pop("age")
        yield {**product, "sizes": ",".join(product["sizes"]), "released_at": today - timedelta(days=age)}


def seed(database, today):
    """Adds what is missing and returns how many products there are in the assortment."""
    count = 0
    with database.transaction() as cursor:
        for row in rows(today):
            columns, marks = ", ".join(row), ", ".join(["%s"] * len(row))
            cursor.execute(f"insert ignore into products ({columns}) values ({marks})", tuple(row.values()))
            count += 1
    return count


if __name__ == "__main__":
    logs.begin()
    logs.say(f"the shelves hold {seed(mariadb('PRODUCTS', timeout=60), date.today())} products")
