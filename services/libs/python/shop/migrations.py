"""Applies migrations/*.sql in order, each once. It serves any database whose driver follows the DB-API."""

import re
from pathlib import Path

from shop import logs

NAME = re.compile(r"(\d{4})_\w+\.sql$")


def versions(folder):
    """The migrations of a folder in order, as (version, path)."""
    found = {}
    for path in sorted(Path(folder).glob("*.sql")):
        match = NAME.match(path.name)
        if not match:
            raise SystemExit(f"{path.name}: expected a name like 0001_what_it_does.sql")
        if match[1] in found:
            raise SystemExit(f"{path.name}: {found[match[1]].name} has the same version")
        found[match[1]] = path
    return list(found.items())


def statements(text):
    """A file's statements: each ends with a semicolon at the end of its line."""
    return [part.strip() for part in re.split(r";[ \t]*$", text, flags=re.MULTILINE) if part.strip()]


def migrate(database, folder):
    """Brings the schema up to date and returns the versions it applied."""
    with database.transaction() as cursor:
        cursor.execute(
            "create table if not exists schema_migrations ("
            "version varchar(4) primary key, applied_at timestamp not null default current_timestamp)"
        )
    done = {row["version"] for row in database.rows("select version from schema_migrations")}
    applied = []
    for version, path in versions(folder):
        if version in done:
            continue
        with database.transaction() as cursor:
            for statement in statements(path.read_text(encoding="utf-8")):
                cursor.execute(statement)
            cursor.execute("insert into schema_migrations (version) values (%s)", (version,))
        applied.append(version)
        logs.say(f"applied {path.name}")
    if not applied:
        logs.say("the schema is up to date")
    return applied
