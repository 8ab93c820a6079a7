// Shared by all receivers: listen on loopback, and print one line of JSON per request.

const { Console } = require('console');

// The examples log to the console; standard output is for the tests.
exports.console = new Console(process.stderr);

exports.report = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);

// `verified` follows the status; a receiver that throws answers 500 and reports the error.
exports.reported = (req, res, next) => {
  res.on('finish', () => exports.report({
    verified: res.statusCode === 200,
    status: res.statusCode,
    id: req.body?.id ?? null,
    event: req.headers['x-penguinmails-event'] ?? null,
    error: res.locals.error ?? null,
  }));
  next();
};

exports.listen = (app) => {
  // Standard input closes when the parent process ends: exit with it.
  process.stdin.resume().on('end', () => process.exit());
  app.use((error, req, res, next) => {
    res.locals.error = String(error);
    res.status(500).send('Error');
  });
  const server = app.listen(Number(process.env.PORT || 0), '127.0.0.1', () => {
    exports.report({ port: server.address().port });
  });
};
