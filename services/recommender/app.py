"""Recommendations for a product's page, a cart, or nobody in particular."""

import logging
import os

from flask import abort, request

from history import History
from mix import DEFAULT, WEIGHTS, recommend
from modules import Moment
from shop import logs
from shop.calls import Neighbour
from shop.database import postgres
from shop.errors import Unavailable
from shop.web import application

MOST = 12


def create(catalog, flags, history):
    app = application()  # healthy as long as it runs: without history it recommends less well, but it does

    def variant_of(visitor):
        """The mix that is on trial for this visitor."""
        try:
            variant = flags.get("/flags", visitor=visitor)["flags"]["recommendations"]
        except (Unavailable, KeyError, TypeError) as error:
            logs.say("without flags", logging.WARNING, cause=str(error))
            return DEFAULT
        return variant if variant in WEIGHTS else DEFAULT

    @app.get("/recommendations")
    def recommendations():
        asked = request.args
        focus = tuple(slug for slug in asked.get("for", "").split(",")[:50] if slug)
        count = asked.get("count", 4, type=int)
        if not 1 <= count <= MOST:
            abort(422, f"The count must be 1 to {MOST}.")
        variant = asked.get("variant") or variant_of(asked.get("visitor", "")[:100])
        if variant not in WEIGHTS:
            abort(422, f"The variant must be one of {', '.join(WEIGHTS)}.")
        products = {product["slug"]: product for product in catalog.get("/products")["products"]}
        return {"variant": variant, "recommendations": recommend(Moment(products, focus, history), variant, count)}

    return app


def __getattr__(name):
    # `app:app` is made when gunicorn asks for it; tests make their own.
    if name == "app":
        catalog = Neighbour("catalog", os.environ["CATALOG_URL"], timeout=2.0)
        flags = Neighbour("flags", os.environ.get("FLAGS_URL"), timeout=0.3)
        return create(catalog, flags, History(postgres("ANALYTICS", timeout=2.0)))
    raise AttributeError(name)
