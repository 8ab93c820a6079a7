use base64::{Engine, prelude::BASE64_STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use http::HeaderMap;
use sha2::Sha256;
use std::time::{SystemTime, UNIX_EPOCH};

/// Whether a request is from us, and not older than five minutes.
pub fn is_ours(body: &[u8], headers: &HeaderMap) -> bool {
    let secret = std::env::var("WEBHOOK_SECRET").expect("WEBHOOK_SECRET is not set");
    let key = BASE64_STANDARD.decode(secret.trim_start_matches("whsec_")).expect("base64");
    let text = |name| headers.get(name).and_then(|it| it.to_str().ok()).unwrap_or("");
    let sent_at = text("webhook-timestamp");
    let mac = Hmac::<Sha256>::new_from_slice(&key)
        .expect("a key of any length")
        .chain_update(format!("{}.{sent_at}.", text("webhook-id")))
        .chain_update(body);
    // While a secret is rotated, there are two signatures.
    let is_signed = text("webhook-signature")
        .split(' ')
        .filter_map(|each| BASE64_STANDARD.decode(each.strip_prefix("v1,")?).ok())
        // In constant time.
        .any(|given| mac.clone().verify_slice(&given).is_ok());
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    is_signed && sent_at.parse().is_ok_and(|at: u64| now.abs_diff(at) < 300)
}
