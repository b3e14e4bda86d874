// Prints the letters of an order, one JSON object a line: `node outbox.js ORDER`. It changes nothing.

import pg from "pg";

const db = new pg.Client({ connectionString: process.env.OUTBOX_URL, connectionTimeoutMillis: 5000 });
await db.connect();
const { rows } = await db.query("select recipient, subject, body from messages where order_id = $1 order by written_at", [process.argv[2]]);
for (const row of rows) console.log(JSON.stringify(row));
await db.end();
