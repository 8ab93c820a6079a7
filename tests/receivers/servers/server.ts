// Answers 200 when `isOurs` in code_shown.ts accepts a request, and 401 when it does not.
import { createServer } from "node:http";
import { isOurs } from "./code_shown.js";

createServer(async (request, response) => {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk);
  try {
    response.writeHead(isOurs(Buffer.concat(chunks), request.headers) ? 200 : 401).end();
  } catch {
    response.writeHead(500).end();
  }
}).listen(Number(process.env.PORT), "127.0.0.1");
