// Answers 200 when `isOurs` in code_shown.js accepts a request, and 401 when it does not.
const http = require("node:http");
const { isOurs } = require("./code_shown.js");

http
  .createServer(async (request, response) => {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    try {
      response.writeHead(isOurs(Buffer.concat(chunks), request.headers) ? 200 : 401).end();
    } catch {
      response.writeHead(500).end();
    }
  })
  .listen(Number(process.env.PORT), "127.0.0.1");
