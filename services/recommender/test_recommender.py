import unittest
from datetime import date
from unittest import mock

from app import create
from mix import REASONS, WEIGHTS, recommend
from modules import MODULES, Moment, category, fresh, popular, share_of_most, together
from shop.errors import Unavailable


def product(slug, kind, released="2026-01-01"):
    return {"slug": slug, "category": kind, "released_at": released}


PRODUCTS = {
    "tee": product("tee", "shirts"),
    "shirt": product("shirt", "shirts"),
    "coat": product("coat", "outerwear"),
    "hat": product("hat", "accessories", "2026-05-01"),
}


class FakeHistory:
    def bought_with(self, slugs):
        return {"coat": 8, "shirt": 2} if "tee" in slugs else {}

    def demand(self):
        return {"shirt": 10, "tee": 40}


def moment(*focus, history=FakeHistory()):
    return Moment(PRODUCTS, focus, history, today=date(2026, 5, 1))


class ModulesTest(unittest.TestCase):
    def test_together_goes_by_orders(self):
        self.assertEqual(together(moment("tee")), {"coat": 1.0, "shirt": 0.25})
        self.assertEqual(together(moment()), {})

    def test_category_goes_by_kind(self):
        self.assertEqual(category(moment("tee")), {"tee": 1.0, "shirt": 1.0})
        self.assertEqual(category(moment("gone")), {})

    def test_popular_goes_by_demand(self):
        self.assertEqual(popular(moment()), {"shirt": 0.25, "tee": 1.0})

    def test_fresh_fades(self):
        self.assertEqual(fresh(moment()), {"hat": 1.0})

    def test_scores_are_between_0_and_1(self):
        for name, module in MODULES.items():
            for score in module(moment("tee")).values():
                self.assertTrue(0 <= score <= 1, name)
        self.assertEqual(share_of_most({}), {})
        self.assertEqual(share_of_most({"a": 0}), {})


class MixTest(unittest.TestCase):
    def test_every_mix_weighs_every_module_and_sums_to_one(self):
        for name, weights in WEIGHTS.items():
            self.assertEqual(set(weights), set(MODULES), name)
            self.assertAlmostEqual(sum(weights.values()), 1.0, msg=name)
        self.assertEqual(set(REASONS), set(MODULES))

    def test_is_the_weighted_sum(self):
        best = recommend(moment("tee"), "classic", 4)
        self.assertEqual([entry["product"]["slug"] for entry in best], ["coat", "shirt", "hat"])
        self.assertEqual(best[1]["parts"], {"together": 0.1375, "category": 0.2, "popular": 0.05, "fresh": 0.0})
        self.assertAlmostEqual(best[1]["score"], 0.3875)
        self.assertEqual(best[0]["reason"], "Often bought together")

    def test_another_mix_another_order(self):
        self.assertEqual(recommend(moment("tee"), "fresh", 1)[0]["product"]["slug"], "hat")

    def test_never_shows_what_is_looked_at(self):
        shown = recommend(moment("tee", "coat"), "classic", 9)
        self.assertNotIn("tee", [entry["product"]["slug"] for entry in shown])

    def test_a_module_that_is_away_has_no_say(self):
        history = mock.Mock()
        history.bought_with.side_effect = history.demand.side_effect = Unavailable("away")
        shown = recommend(moment("tee", history=history), "classic", 9)
        self.assertEqual([entry["product"]["slug"] for entry in shown], ["shirt", "hat"])


class AppTest(unittest.TestCase):
    def setUp(self):
        self.catalog, self.flags = mock.Mock(), mock.Mock()
        self.catalog.get.return_value = {"products": list(PRODUCTS.values())}
        self.flags.get.return_value = {"flags": {"recommendations": "fresh"}}
        self.client = create(self.catalog, self.flags, FakeHistory()).test_client()

    def test_the_flag_chooses_the_mix(self):
        answer = self.client.get("/recommendations?for=tee&visitor=v1&count=2").json
        self.assertEqual(answer["variant"], "fresh")
        self.assertEqual(len(answer["recommendations"]), 2)
        self.flags.get.assert_called_once_with("/flags", visitor="v1")

    def test_without_flags_it_is_the_classic_mix(self):
        for trouble in ({"side_effect": Unavailable("away")}, {"return_value": {"flags": {}}}, {"return_value": None}):
            self.flags.get.configure_mock(**{"side_effect": None, **trouble})
            self.assertEqual(self.client.get("/recommendations?for=tee").json["variant"], "classic")

    def test_without_the_catalogue_there_is_nothing_to_recommend(self):
        self.catalog.get.side_effect = Unavailable("catalog does not answer")
        self.assertEqual(self.client.get("/recommendations").status_code, 503)

    def test_refuses_what_it_does_not_know(self):
        self.assertEqual(self.client.get("/recommendations?count=100").status_code, 422)
        self.assertEqual(self.client.get("/recommendations?variant=bold").status_code, 422)


if __name__ == "__main__":
    unittest.main()
