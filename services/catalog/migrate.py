"""Brings the schema of `products` up to date."""

from pathlib import Path

from shop import logs
from shop.database import mariadb
from shop.migrations import migrate

if __name__ == "__main__":
    logs.begin()
    migrate(mariadb("PRODUCTS", timeout=60), Path(__file__).parent / "migrations")
