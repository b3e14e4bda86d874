"""Log lines: one JSON object a line on standard output, for people with `jq` and for collectors alike."""

import json
import logging
import os
import sys
from datetime import UTC, datetime

NAME = os.environ.get("OTEL_SERVICE_NAME", "local")
VERSION = os.environ.get("NODE_ID", "local")


class Lines(logging.Formatter):
    def format(self, record):
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "service": NAME,
            "version": VERSION,
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


def begin(stream=sys.stdout):
    """Sends every logger's lines, those of libraries included, to one place."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(Lines())
    logging.basicConfig(level=os.environ.get("LOG_LEVEL", "INFO").upper(), handlers=[handler], force=True)


def say(message, level=logging.INFO, **fields):
    logging.getLogger(NAME).log(level, message, extra={"fields": fields})
