"""What the shop sells, and the questions that can be asked about it."""

import re

CATEGORIES = {
    "knitwear": "Knitwear",
    "shirts": "Shirts & tees",
    "outerwear": "Outerwear",
    "dresses": "Dresses & skirts",
    "trousers": "Trousers",
    "accessories": "Accessories",
}

ORDERS = {
    "new": "released_at desc, slug",
    "price": "price_cents, slug",
    "-price": "price_cents desc, slug",
}

COLUMNS = (
    "slug, name, category, garment, pattern, colour, accent, shade, material, description, "
    "price_cents, sizes, released_at"
)
RELEASED = "released_at <= current_date"


def words(text):
    """A search text for MariaDB's full text index: every word, also as the beginning of a longer one."""
    return " ".join(f"+{word}*" for word in re.findall(r"\w+", text)[:8])


class Catalog:
    def __init__(self, database):
        self._database = database

    def check(self):
        self._database.check()

    def find(self, category=None, text=None, order="new", preview=False, slugs=None):
        """The products that all conditions fit; those of next season only when asked for by name or as a preview."""
        conditions, parameters = [], []
        if slugs is not None:
            if not slugs:
                return []
            conditions.append(f"slug in ({', '.join(['%s'] * len(slugs))})")
            parameters += slugs
        elif not preview:
            conditions.append(RELEASED)
        if category:
            conditions.append("category = %s")
            parameters.append(category)
        if text:
            search = words(text)
            if not search:
                return []
            conditions.append("match (name, shade, material, description) against (%s in boolean mode)")
            parameters.append(search)
        where = f" where {' and '.join(conditions)}" if conditions else ""
        rows = self._database.rows(f"select {COLUMNS} from products{where} order by {ORDERS[order]}", parameters)
        return [product(row) for row in rows]

    def categories(self):
        """Every category with how many products are for sale in it, in the shop's order."""
        rows = self._database.rows(f"select category, count(*) as n from products where {RELEASED} group by category")
        counts = {row["category"]: row["n"] for row in rows}
        return [{"slug": slug, "name": name, "count": counts.get(slug, 0)} for slug, name in CATEGORIES.items()]


def product(row):
    """A product as the world sees it."""
    return {
        **row,
        "category_name": CATEGORIES[row["category"]],
        "sizes": row["sizes"].split(","),
        "released_at": row["released_at"].isoformat(),
    }
