"""The operations that the audit records, in the words of people."""

ACTIONS = {
    "createWebhook": "created a webhook",
    "updateWebhook": "changed a webhook",
    "deleteWebhook": "deleted a webhook",
    "pauseWebhook": "paused a webhook",
    "resumeWebhook": "resumed a webhook",
    "probeWebhook": "made the next attempt now",
    "rotateWebhookSecret": "rotated a secret",
    "sendTestEvent": "sent a test event",
    "retryDelivery": "retried a delivery",
    "retryFailedDeliveries": "retried failed deliveries",
    "createReplay": "started a replay",
    "cancelReplay": "cancelled a replay",
    "retryFailedOfReplay": "retried failures of a replay",
    "createTenantToken": "created a tenant token",
    "revokeTenantToken": "revoked a tenant token",
    "createPortalLink": "created a portal link",
    "revokePortalLink": "revoked a portal link",
    "eraseContact": "erased a contact",
    "eraseTenant": "erased a tenant",
}
