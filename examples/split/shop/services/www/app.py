"""The page that customers see: their orders, each with its invoice."""

import html
import os
import urllib.request

import web

ORDER = os.environ["ORDER_URL"]
INVOICES = ORDER


def answer(method, path, body):
    match (method, path.strip("/").split("/")):
        case ("GET", [""]):
            orders = web.fetch(f"{ORDER}/orders")
            items = [f'<li><a href="/invoices/{order["number"]}">order {order["number"]}</a></li>' for order in orders]
            return f"<!doctype html><title>Orders</title><ul>{''.join(items)}</ul>"
        case ("GET", ["invoices", number]) if number.isdigit():
            with urllib.request.urlopen(f"{INVOICES}/invoices/{number}", timeout=5) as response:
                return f"<!doctype html><title>Invoice</title><pre>{html.escape(response.read().decode())}</pre>"


if __name__ == "__main__":
    web.serve(answer)
