"""Applies migrations/*.sql in order, each once, each in its own transaction."""

import re
from pathlib import Path

from database import connect

MIGRATIONS = Path(__file__).parent / "migrations"
LOCK = 7_205_759_403  # any number that only this program uses


def versions(folder):
    """The migrations of a folder in order, as (version, path)."""
    found = {}
    for path in sorted(folder.glob("*.sql")):
        match = re.match(r"(\d{4})_\w+\.sql$", path.name)
        if not match:
            raise SystemExit(f"{path.name}: expected a name like 0001_what_it_does.sql")
        version = match[1]
        if version in found:
            raise SystemExit(f"{path.name}: {found[version].name} has the same version")
        found[version] = path
    return list(found.items())


def migrate(db, folder=MIGRATIONS):
    """Brings the schema up to date and returns the versions it applied."""
    # Two runs at once take turns; the lock ends with the connection.
    db.run("select pg_advisory_lock(:key)", key=LOCK)
    db.run(
        "create table if not exists schema_migrations ("
        "version text primary key, applied_at timestamptz not null default now())"
    )
    done = {version for [version] in db.run("select version from schema_migrations")}
    applied = []
    for version, path in versions(folder):
        if version in done:
            continue
        db.run("begin")
        db.run(path.read_text(encoding="utf-8"))
        db.run("insert into schema_migrations (version) values (:version)", version=version)
        db.run("commit")
        applied.append(version)
        print(f"applied {path.name}", flush=True)
    return applied


if __name__ == "__main__":
    with connect(timeout=None) as db:
        if not migrate(db):
            print("the schema is up to date", flush=True)
