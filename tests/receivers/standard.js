// The npm package of Standard Webhooks, as its documentation uses it.

const { listen, reported } = require('./report');

const express = require('express');
const { Webhook } = require('standardwebhooks');

const app = express();
app.use(reported);

app.post('/webhooks/penguinmails', express.raw({ type: '*/*', limit: '100mb' }), (req, res) => {
  try {
    req.body = new Webhook(process.env.WEBHOOK_SECRET).verify(req.body, req.headers);
    res.status(200).send('OK');
  } catch (error) {
    res.locals.error = String(error);
    res.status(401).send('Invalid signature');
  }
});

listen(app);
