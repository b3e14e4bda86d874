"""An invoice as people read it."""

import tax


def text(order):
    cents = order["total"]
    lines = [f"Invoice for order {order['number']}", ""]
    lines += [f"{number:4} {article}" for article, number in sorted(order["articles"].items())]
    lines += ["", f"Net   {tax.net(cents) / 100:9.2f}", f"Tax   {tax.part(cents) / 100:9.2f}", f"Total {cents / 100:9.2f}"]
    return "\n".join(lines) + "\n"
