"""Payment: POST /charges, once for each Idempotency-Key."""

import os

from flask import abort, request

from charges import Charges, Conflict, Invalid, Request
from processor import Processor
from shop.database import postgres
from shop.web import application


def create(charges):
    app = application(charges.check)

    @app.post("/charges")
    def charge():
        try:
            charge = charges.make(Request.parse(request.headers.get("idempotency-key"), request.get_json(silent=True)))
        except Invalid as invalid:
            abort(422, str(invalid))
        except Conflict as conflict:
            abort(409, str(conflict))
        return charge, 201 if charge["status"] == "paid" else 402

    return app


def __getattr__(name):
    # `app:app` is made when gunicorn asks for it; tests make their own.
    if name == "app":
        key = os.environ["PROCESSOR_KEY"]
        return create(Charges(postgres("LEDGER"), Processor(key), key))
    raise AttributeError(name)
