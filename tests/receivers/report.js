// What all receivers share: a port on loopback, and one line of JSON for each request.

const { Console } = require('console');

// The examples talk to the console; standard output is for the tests.
exports.console = new Console(process.stderr);

exports.report = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);

// `verified` is what the answer says; a receiver that throws answers 500 and says so too.
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
  // Standard input is the leash: it ends with whoever started us.
  process.stdin.resume().on('end', () => process.exit());
  app.use((error, req, res, next) => {
    res.locals.error = String(error);
    res.status(500).send('Error');
  });
  const server = app.listen(Number(process.env.PORT || 0), '127.0.0.1', () => {
    exports.report({ port: server.address().port });
  });
};
