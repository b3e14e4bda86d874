// The page: asks the API for the books and lists them.
const http = require('node:http');

const api = process.env.API_URL;

http
  .createServer(async (request, response) => {
    if (request.url !== '/') return response.writeHead(404).end();
    try {
      const { shelf, books } = await (await fetch(`${api}/books`)).json();
      const items = books.map(({ title, read }) => `<li>${title}${read ? ' (read)' : ''}</li>`).join('');
      response.writeHead(200, { 'Content-Type': 'text/html; charset=utf-8' });
      response.end(`<!doctype html><title>${shelf}</title><h1>${shelf}</h1><ul>${items}</ul>`);
    } catch (error) {
      response.writeHead(502).end(String(error));
    }
  })
  .listen(process.env.PORT, () => console.log(`listens on ${process.env.PORT}, API ${api}`));

process.on('SIGTERM', () => process.exit(0));
