"""Orders, and the invoices for them."""

import json

import invoice
import kv
import prices
import web


def order(number):
    found = kv.ask("GET", kv.key(f"order-{number}"))
    return found and {"number": int(number), **json.loads(found)}


def answer(method, path, body):
    match (method, path.strip("/").split("/")):
        case ("POST", ["orders"]):
            number = kv.ask("INCR", kv.key("orders"))
            articles = json.loads(body)
            kept = {"articles": articles, "total": prices.total(articles)}
            kv.ask("SET", kv.key(f"order-{number}"), json.dumps(kept))
            return order(number)
        case ("GET", ["orders"]):
            count = int(kv.ask("GET", kv.key("orders")) or 0)
            return [order(number) for number in range(1, count + 1)]
        case ("GET", ["orders", number]):
            return order(number)
        case ("GET", ["invoices", number]):
            found = order(number)
            return found and invoice.text(found)


if __name__ == "__main__":
    web.serve(answer)
