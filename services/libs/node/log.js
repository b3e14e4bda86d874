// Log lines: one JSON object a line on standard output.

export const NAME = process.env.OTEL_SERVICE_NAME || "local";
export const VERSION = process.env.NODE_ID || "local";

function say(level, message, fields) {
  const line = { time: new Date().toISOString(), level, service: NAME, version: VERSION, message, ...fields };
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

export const info = (message, fields) => say("info", message, fields);
export const warn = (message, fields) => say("warn", message, fields);
export const error = (message, fields) => say("error", message, fields);
