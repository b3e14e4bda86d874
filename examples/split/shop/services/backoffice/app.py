"""What bookkeeping asks for: one invoice by its number."""

import os
import urllib.request

import web


def answer(method, path, body):
    match (method, path.strip("/").split("/")):
        case ("GET", [number]) if number.isdigit():
            with urllib.request.urlopen(f"{os.environ['INVOICES_URL']}/invoices/{number}", timeout=5) as response:
                return response.read().decode()


if __name__ == "__main__":
    web.serve(answer)
