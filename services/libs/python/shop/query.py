"""Asks a service's own database: `python -m shop.query LEDGER "select status from charges"` prints a row a line."""

import argparse

from shop import database


def rows(asked, statement):
    """Each row as one line, `|` between its columns."""
    return ["|".join("" if value is None else str(value) for value in row.values()) for row in asked.rows(statement)]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("alias", help="the database's name in the variables, in capitals")
    parser.add_argument("statement", help="a select")
    parser.add_argument("--kind", choices=["postgres", "mariadb"], default="postgres")
    arguments = parser.parse_args()
    for row in rows(getattr(database, arguments.kind)(arguments.alias), arguments.statement):
        print(row)
