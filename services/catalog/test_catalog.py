import re
import unittest
from datetime import date
from unittest import mock

from app import create
from products import CATEGORIES, Catalog, words
from seed import rows, seed
from shop.errors import Unavailable


class FakeDatabase:
    """Remembers what it was asked and answers with the assortment's rows."""

    def __init__(self, answer=()):
        self.answer, self.asked = list(answer), []

    def rows(self, statement, parameters=()):
        self.asked.append((statement, list(parameters)))
        return self.answer

    def check(self):
        pass


ROWS = list(rows(date(2026, 5, 1)))


class AssortmentTest(unittest.TestCase):
    def test_has_24_products_for_sale_and_two_to_come(self):
        released = [row for row in ROWS if row["released_at"] <= date(2026, 5, 1)]
        self.assertEqual((len(released), len(ROWS)), (24, 26))

    def test_is_well_formed(self):
        self.assertEqual(len({row["slug"] for row in ROWS}), len(ROWS))
        for row in ROWS:
            with self.subTest(row["slug"]):
                self.assertRegex(row["slug"], r"^[a-z0-9-]{1,60}$")
                self.assertIn(row["category"], CATEGORIES)
                self.assertTrue(all(re.match(r"#[0-9a-f]{6}$", row[name]) for name in ("colour", "accent")))
                self.assertGreater(row["price_cents"], 0)

    def test_seeding_again_adds_nothing(self):
        database = mock.MagicMock()
        self.assertEqual(seed(database, date(2026, 5, 1)), 26)
        cursor = database.transaction().__enter__()
        self.assertTrue(all("insert ignore" in call.args[0] for call in cursor.execute.call_args_list))


class CatalogTest(unittest.TestCase):
    def test_shows_only_what_is_for_sale_unless_it_is_a_preview(self):
        database = FakeDatabase()
        Catalog(database).find()
        Catalog(database).find(preview=True)
        self.assertIn("released_at <= current_date", database.asked[0][0])
        self.assertNotIn("current_date", database.asked[1][0])

    def test_all_conditions_count(self):
        database = FakeDatabase()
        Catalog(database).find("knitwear", "wool", "price")
        statement, parameters = database.asked[0]
        self.assertEqual(parameters, ["knitwear", "+wool*"])
        self.assertTrue(statement.endswith("order by price_cents, slug"))

    def test_no_names_are_no_products(self):
        database = FakeDatabase(ROWS)
        self.assertEqual(Catalog(database).find(slugs=[]), [])
        self.assertEqual(database.asked, [])

    def test_a_search_is_words_and_never_operators(self):
        self.assertEqual(words('Rain -jacket "x" (~*'), "+Rain* +jacket* +x*")
        self.assertEqual(words("+-*"), "")

    def test_a_search_for_nothing_that_is_a_word_finds_nothing(self):
        self.assertEqual(Catalog(FakeDatabase(ROWS)).find(text="***"), [])

    def test_every_category_is_there_even_if_empty(self):
        found = Catalog(FakeDatabase([{"category": "knitwear", "n": 4}])).categories()
        self.assertEqual([c["slug"] for c in found], list(CATEGORIES))
        self.assertEqual((found[0]["count"], found[1]["count"]), (4, 0))


class AppTest(unittest.TestCase):
    def client(self, answer=()):
        self.database = FakeDatabase(answer)
        return create(Catalog(self.database)).test_client()

    def test_gives_products(self):
        products = self.client(ROWS).get("/products").json["products"]
        self.assertEqual(len(products), len(ROWS))
        self.assertEqual(products[0]["sizes"], ["XS", "S", "M", "L", "XL"])
        self.assertEqual(products[0]["category_name"], "Knitwear")

    def test_by_name(self):
        client = self.client(ROWS)
        client.get("/products?slugs=a,b")
        self.assertEqual(self.database.asked[0][1], ["a", "b"])

    def test_refuses_what_it_does_not_know(self):
        client = self.client()
        self.assertEqual(client.get("/products?category=cars").status_code, 404)
        self.assertEqual(client.get("/products?order=colour").status_code, 422)
        self.assertEqual(client.get("/products/none").json, {"error": "We do not have that."})
        self.assertEqual(client.get("/products?slugs=" + "a," * 200).status_code, 422)

    def test_is_unhealthy_without_its_database(self):
        client = self.client()
        self.database.check = mock.Mock(side_effect=Unavailable("the database cannot be reached"))
        self.assertEqual(client.get("/healthz").status_code, 503)


if __name__ == "__main__":
    unittest.main()
