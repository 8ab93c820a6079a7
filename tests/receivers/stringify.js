// Not a receiver: each line of standard input is a JSON text, written as a JSON string; the answer
// is what JSON.stringify(JSON.parse(text)) makes of it, on a line of its own.

const lines = require('readline').createInterface({ input: process.stdin });

lines.on('line', (line) => {
  process.stdout.write(`${JSON.stringify(JSON.parse(JSON.parse(line)))}\n`);
});
