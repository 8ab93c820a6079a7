// Not a receiver: reads JSON texts from standard input, one per line, each encoded as a JSON string,
// and prints JSON.stringify(JSON.parse(text)) of each on one line.

const lines = require('readline').createInterface({ input: process.stdin });

lines.on('line', (line) => {
  process.stdout.write(`${JSON.stringify(JSON.parse(JSON.parse(line)))}\n`);
});
