// Applies migrations/*.sql in order, each once, each in its own transaction.

import { readFileSync, readdirSync } from "node:fs";
import { pathToFileURL } from "node:url";

import pg from "pg";

import * as log from "../libs/node/log.js";

const FOLDER = new URL("migrations/", import.meta.url);
const LOCK = 7_205_759_405; // any number that only this program uses

// The migrations of a folder in order.
export function versions(names) {
  const files = names.filter((name) => name.endsWith(".sql")).sort().map((name) => {
    const version = /^(\d{4})_\w+\.sql$/.exec(name)?.[1];
    if (!version) throw new Error(`${name}: expected a name like 0001_what_it_does.sql`);
    return { version, name };
  });
  const twice = files.find(({ version }, i) => version === files[i - 1]?.version);
  if (twice) throw new Error(`${twice.name}: there is another migration ${twice.version}`);
  return files;
}

export async function migrate(db, files, read) {
  // Two runs at once take turns; the lock ends with the connection.
  await db.query("select pg_advisory_lock($1)", [LOCK]);
  await db.query(
    "create table if not exists schema_migrations (version text primary key, applied_at timestamptz not null default now())",
  );
  const { rows } = await db.query("select version from schema_migrations");
  const done = new Set(rows.map(({ version }) => version));
  const missing = files.filter(({ version }) => !done.has(version));
  for (const { version, name } of missing) {
    await db.query("begin");
    await db.query(read(name));
    await db.query("insert into schema_migrations (version) values ($1)", [version]);
    await db.query("commit");
    log.info(`applied ${name}`);
  }
  if (missing.length === 0) log.info("the schema is up to date");
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const db = new pg.Client({ connectionString: process.env.OUTBOX_URL, connectionTimeoutMillis: 5000 });
  await db.connect();
  await migrate(db, versions(readdirSync(FOLDER)), (name) => readFileSync(new URL(name, FOLDER), "utf8"));
  await db.end();
}
