// The specification's second example ("Signature Verification"), without its types: the signature
// is computed over the raw body.

const { console, listen, reported } = require('./report');

const express = require('express');
const crypto = require('crypto');
const bodyParser = require('body-parser');

const app = express();
app.use(reported);

// Middleware to get raw body for signature verification
app.use('/webhooks', bodyParser.json({
  limit: '100mb',
  verify: (req, res, buf) => {
    req.rawBody = buf.toString('utf8');
  }
}));

class WebhookHandlerImpl {
  constructor(secret) {
    this.webhookSecret = secret;
  }

  verifyWebhook(payload, signature, secret) {
    try {
      const computed = crypto
        .createHmac('sha256', secret)
        .update(payload, 'utf8')
        .digest('hex');
      const expected = `sha256=${computed}`;
      return crypto.timingSafeEqual(
        Buffer.from(expected),
        Buffer.from(signature)
      );
    } catch (error) {
      console.error('Webhook signature verification error:', error);
      return false;
    }
  }

  async handleWebhook(req, res) {
    try {
      const signature = req.headers['x-penguinmails-signature'];
      const rawBody = req.rawBody;
      if (!signature) {
        res.status(401).json({ error: 'Missing signature header' });
        return;
      }
      // Verify signature
      if (!this.verifyWebhook(rawBody, signature, this.webhookSecret)) {
        res.status(401).json({ error: 'Invalid signature' });
        return;
      }
      const event = req.body;
      // Process event based on type
      switch (event.type) {
        case 'email.opened':
          await this.handleEmailOpened(event);
          break;
        case 'email.clicked':
          await this.handleEmailClicked(event);
          break;
        case 'email.bounced':
          await this.handleEmailBounced(event);
          break;
        case 'email.sent':
          await this.handleEmailSent(event);
          break;
        default:
          console.log(`Unhandled event type: ${event.type}`);
      }
      res.status(200).json({ success: true });
    } catch (error) {
      console.error('Webhook processing error:', error);
      res.status(500).json({ error: 'Internal server error' });
    }
  }

  async handleEmailOpened(event) {
    console.log(`Email opened by ${event.data.contact?.email}`);
    // Update your CRM, trigger workflow, etc.
    // Example: await crmService.updateContactEngagement(event.data);
  }

  async handleEmailClicked(event) {
    console.log(`Link clicked: ${event.data.url}`);
    // Track click event, update analytics, etc.
  }

  async handleEmailBounced(event) {
    console.log(`Email bounced: ${event.data.email_id}`);
    // Handle bounce logic - update contact status, etc.
  }

  async handleEmailSent(event) {
    console.log(`Email sent: ${event.data.email_id}`);
    // Update sending status, trigger follow-up workflows, etc.
  }
}

// Usage example
const webhookSecret = process.env.WEBHOOK_SECRET || 'your-webhook-secret';
const webhookHandler = new WebhookHandlerImpl(webhookSecret);

// Express route; the second path is the one that the tests use for every receiver
app.post(['/webhooks', '/webhooks/penguinmails'], webhookHandler.handleWebhook.bind(webhookHandler));

listen(app);
