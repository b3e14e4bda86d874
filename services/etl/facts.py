"""From events to rows. Pure: the same event gives the same rows, whenever and however often it is read."""

import json
from datetime import datetime


class Malformed(Exception):
    """What is on the stream is no event that we know how to read."""


def purchases(event):
    """A row for each product of an order, its sizes taken together."""
    rows = {}
    for item in event["data"]["items"]:
        row = rows.setdefault(
            item["product"],
            {
                "order_id": str(event["data"]["order"]),
                "product": str(item["product"]),
                "quantity": 0,
                "price_cents": int(item["price_cents"]),
                "visitor": str(event["visitor"]),
                "placed_at": moment(event),
            },
        )
        row["quantity"] += int(item["quantity"])
    return "purchases", list(rows.values())


def view(event):
    row = {
        "event_id": str(event["id"]),
        "product": str(event["data"]["product"]),
        "visitor": str(event["visitor"]),
        "seen_at": moment(event),
    }
    return "views", [row]


READERS = {"order.placed": purchases, "product.viewed": view}


def read(message):
    """The table and rows that a message adds; no rows for events that nobody analyses."""
    try:
        event = json.loads(message)
        reader = READERS.get(event["type"])
        return reader(event) if reader else (None, [])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Malformed(repr(error)) from error


def moment(event):
    return datetime.fromisoformat(event["time"])
