// The worker: reads orders from the stream and writes a confirmation for each into the outbox.

import { setTimeout as sleep } from "node:timers/promises";
import { pathToFileURL } from "node:url";

import { Consumer, MessagesStreamFallbackModes, MessagesStreamModes, stringDeserializers } from "@platformatic/kafka";
import pg from "pg";

import * as log from "../libs/node/log.js";
import { letterFor } from "./letter.js";

const LONGEST_PAUSE = 5000;

const WRITE = `
insert into messages (event_id, order_id, recipient, subject, body) values ($1, $2, $3, $4, $5)
on conflict (event_id) do nothing`;

// Writes what a message asks for. A message that makes no sense is told of and left behind: it would never make any.
export async function handle(message, db) {
  let letter;
  try {
    letter = letterFor(JSON.parse(message.value));
  } catch (error) {
    log.warn("skipped a message", { offset: String(message.offset), cause: error.message });
    return;
  }
  if (!letter) return;
  const { rowCount } = await db.query(WRITE, [letter.eventId, letter.order, letter.recipient, letter.subject, letter.body]);
  if (rowCount > 0) log.info("wrote a confirmation", { order: letter.order });
}

// Reads message after message. It is committed after its letter is written, so an interruption makes it come again,
// and the outbox knows it by its event.
export async function consume(messages, db, leaving) {
  for await (const message of messages) {
    await patiently(() => handle(message, db), leaving);
    if (leaving.aborted) return;
    await message.commit();
  }
}

// Again and again, ever less often, until it works or we leave.
export async function patiently(task, leaving, pause = 100) {
  for (let wait = pause; !leaving.aborted; wait = Math.min(wait * 2, LONGEST_PAUSE)) {
    try {
      return await task();
    } catch (error) {
      log.warn("tries again", { cause: error.message, in_ms: wait });
      await sleep(wait, undefined, { signal: leaving }).catch(() => {});
    }
  }
}

async function read(db, leaving) {
  const consumer = new Consumer({
    groupId: "notifier",
    clientId: "notifier",
    bootstrapBrokers: process.env.STREAM_BROKERS.split(","),
    deserializers: stringDeserializers,
    autocommit: false,
    connectTimeout: 3000,
    sessionTimeout: 10_000,
    heartbeatInterval: 1000,
  });
  try {
    const stream = await consumer.consume({
      topics: ["orders"],
      mode: MessagesStreamModes.COMMITTED,
      fallbackMode: MessagesStreamFallbackModes.EARLIEST,
      maxWaitTime: 500,
    });
    log.info("reads orders");
    const stop = () => stream.close().catch(() => {});
    leaving.addEventListener("abort", stop, { once: true });
    await consume(stream, db, leaving);
    if (!leaving.aborted) throw new Error("the stream ended");
  } finally {
    await consumer.close(true).catch(() => {});
  }
}

async function main() {
  const db = new pg.Pool({
    connectionString: process.env.OUTBOX_URL,
    max: 2,
    connectionTimeoutMillis: 3000,
    query_timeout: 5000,
    application_name: log.NAME,
  });
  db.on("error", (error) => log.warn("the outbox", { cause: error.message }));
  const leaving = new AbortController();
  for (const signal of ["SIGTERM", "SIGINT"]) process.on(signal, () => leaving.abort());
  await patiently(() => read(db, leaving.signal), leaving.signal);
  await db.end();
  log.info("leaves");
  process.exit(0);
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) await main();
