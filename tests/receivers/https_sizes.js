// A stock https server: answers 200 with as many bytes as the path says, in as many chunks.

const https = require('https');
const { report } = require('./report');

process.stdin.resume().on('end', () => process.exit());
const server = https.createServer({ cert: process.env.CERT, key: process.env.KEY }, (req, res) => {
  const [, size, chunks] = req.url.split('/').map(Number);
  req.resume().on('end', () => {
    if (chunks <= 1) {
      res.end('x'.repeat(size));
      return;
    }
    const part = 'x'.repeat(Math.ceil(size / chunks));
    let left = chunks;
    const next = () => (left-- > 0 ? res.write(part, () => setImmediate(next)) : res.end());
    next();
  });
});
server.listen(0, '127.0.0.1', () => report({ port: server.address().port }));
