"""The tax that is part of a price, in cents."""

PER_CENT = 20


def net(cents):
    return round(cents * 100 / (100 + PER_CENT))


def part(cents):
    return cents - net(cents)
