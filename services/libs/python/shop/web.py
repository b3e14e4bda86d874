"""A Flask application as every Python service of the shop has it: health, errors as JSON, a log line a request."""

import logging
import time

from flask import Flask, g, jsonify, request
from werkzeug.exceptions import HTTPException

from shop import logs
from shop.errors import Unavailable


def application(check=lambda: None):
    """An application that is healthy while `check` does not raise Unavailable."""
    app = Flask(logs.NAME)
    app.json.sort_keys = False

    @app.get("/healthz")
    def healthz():
        check()
        return {"status": "ok"}

    @app.before_request
    def begin():
        g.began = time.perf_counter()

    @app.after_request
    def end(response):
        response.headers["x-served-by"] = f"{logs.NAME}-{logs.VERSION}"
        response.headers["cache-control"] = "no-store"
        if request.path != "/healthz":  # asked every moment, never interesting
            milliseconds = round((time.perf_counter() - g.began) * 1000, 1)
            logs.say(f"{request.method} {request.path}", status=response.status_code, ms=milliseconds)
        return response

    @app.errorhandler(HTTPException)
    def refused(error):
        return jsonify(error=error.description), error.code

    @app.errorhandler(Unavailable)
    def unavailable(error):
        logs.say(str(error), logging.WARNING, cause=repr(error.__cause__))
        return jsonify(error=str(error)), 503, {"retry-after": "1"}

    @app.errorhandler(Exception)
    def broken(error):
        logging.getLogger(logs.NAME).exception("%s %s", request.method, request.path)
        return jsonify(error="Something went wrong here."), 500

    return app
