// Answers every request with a greeting.
const ms = require('ms');

const server = require('node:http').createServer((request, response) => {
  response.end(`hello from node, up for ${ms(Math.round(process.uptime() * 1000))}\n`);
});
server.listen(process.env.PORT);
process.on('SIGTERM', () => server.close());
