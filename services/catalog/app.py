"""The catalogue: products, search, categories."""

from flask import abort, request

from products import CATEGORIES, ORDERS, Catalog
from shop.database import mariadb
from shop.web import application

MOST_SLUGS = 100


def create(catalog):
    app = application(catalog.check)

    @app.get("/products")
    def products():
        asked = request.args
        category, order = asked.get("category"), asked.get("order", "new")
        if category and category not in CATEGORIES:
            abort(404, f"There is no category {category}.")
        if order not in ORDERS:
            abort(422, f"The order must be one of {', '.join(ORDERS)}.")
        slugs = asked["slugs"].split(",") if "slugs" in asked else None
        if slugs and len(slugs) > MOST_SLUGS:
            abort(422, f"Ask for at most {MOST_SLUGS} products by name.")
        found = catalog.find(category, asked.get("q", "")[:100], order, asked.get("preview") == "true", slugs)
        return {"products": found}

    @app.get("/products/<slug>")
    def product(slug):
        found = catalog.find(slugs=[slug])
        return found[0] if found else abort(404, "We do not have that.")

    @app.get("/categories")
    def categories():
        return {"categories": catalog.categories()}

    return app


def __getattr__(name):
    # `app:app` is made when gunicorn asks for it; tests make their own.
    if name == "app":
        return create(Catalog(mariadb("PRODUCTS")))
    raise AttributeError(name)
