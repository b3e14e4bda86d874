"""Brings the schema of `ledger` up to date."""

from pathlib import Path

from shop import logs
from shop.database import postgres
from shop.migrations import migrate

if __name__ == "__main__":
    logs.begin()
    migrate(postgres("LEDGER", timeout=60), Path(__file__).parent / "migrations")
