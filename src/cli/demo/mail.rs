//! What one request to the receiver says, and whether it is what its mailbox expects.

use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, Uri};
use serde::Deserialize;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use crate::crypto::{SigningSecret, verify};
use crate::db::demo::Address;
use crate::dialect::Dialect;

/// Where rows without an endpoint go.
pub(super) const DIRECT: &str = "direct";

/// One endpoint, from the other side.
#[derive(Debug)]
pub(super) struct Mailbox {
    /// `instance/label`: also the URL's path.
    pub(super) name: &'static str,
    /// Whose envelope it reads.
    pub(super) dialect: Dialect,
    /// Who must have signed.
    pub(super) secret: Option<SigningSecret>,
    /// What `Authorization` must say.
    pub(super) authorization: Option<String>,
    /// Whether the event's type ends the path.
    pub(super) by_events: bool,
    /// Whether it is the one that fails at first.
    pub(super) can_break: bool,
}

/// What one request was.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Mail {
    /// To whom, and which.
    pub(super) address: Address,
    /// As [`crate::db::demo::Owed::digest`].
    pub(super) digest: [u8; 32],
    /// What is wrong with it.
    pub(super) fault: Option<&'static str>,
    /// Whether it is for the one that fails at first.
    pub(super) can_break: bool,
}

/// Our own envelope.
#[derive(Deserialize)]
struct Ours<'a> {
    id: String,
    r#type: String,
    instance: String,
    #[serde(borrow)]
    data: &'a RawValue,
}

/// RyzeAPI's.
#[derive(Deserialize)]
struct Ryze<'a> {
    event: String,
    #[serde(borrow)]
    data: &'a RawValue,
    #[serde(rename = "instanceData")]
    instance_data: RyzeInstance,
}

/// The instance in RyzeAPI's envelope.
#[derive(Deserialize)]
struct RyzeInstance {
    instance: String,
}

/// What is inside an envelope.
struct Content<'a> {
    instance: String,
    event_type: String,
    data: &'a RawValue,
}

/// Reads one request.
pub(super) fn read(mailboxes: &[Mailbox], uri: &Uri, headers: &HeaderMap, body: &[u8]) -> Mail {
    let path = uri.path().trim_start_matches('/');
    let mut mail = Mail {
        address: Address {
            to: path.to_owned(),
            webhook_id: header(headers, "webhook-id").to_owned(),
        },
        digest: Sha256::digest(body).into(),
        fault: None,
        can_break: false,
    };
    if path == DIRECT {
        return mail;
    }
    let is_for = |mailbox: &&Mailbox| {
        path.strip_prefix(mailbox.name)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let Some(mailbox) = mailboxes.iter().find(is_for) else {
        mail.fault = Some("there is no such mailbox");
        return mail;
    };
    mailbox.name.clone_into(&mut mail.address.to);
    mail.can_break = mailbox.can_break;
    match mailbox.open(path, headers, body) {
        Ok(content) => mail.digest = content.digest(),
        Err(fault) => mail.fault = Some(fault),
    }
    mail
}

impl Mailbox {
    /// Checks who sent it, and opens the envelope.
    fn open<'a>(
        &self,
        path: &str,
        headers: &HeaderMap,
        body: &'a [u8],
    ) -> Result<Content<'a>, &'static str> {
        let id = header(headers, "webhook-id");
        if let Some(secret) = &self.secret {
            let timestamp = header(headers, "webhook-timestamp");
            let signature = header(headers, "webhook-signature");
            if !verify(std::slice::from_ref(secret), id, timestamp, body, signature) {
                return Err("the signature is not right");
            }
        }
        if let Some(expected) = &self.authorization
            && header(headers, AUTHORIZATION.as_str()) != expected
        {
            return Err("the Authorization is not right");
        }
        let content = self.unwrap(id, body)?;
        let suffix = path.strip_prefix(self.name).unwrap_or_default();
        let expected = if self.by_events {
            &*content.event_type
        } else {
            ""
        };
        if suffix.trim_start_matches('/') != expected {
            return Err("the path does not fit the event's type");
        }
        Ok(content)
    }

    /// Takes the envelope off.
    fn unwrap<'a>(&self, id: &str, body: &'a [u8]) -> Result<Content<'a>, &'static str> {
        match self.dialect {
            Dialect::Postrider => {
                let ours: Ours<'a> = serde_json::from_slice(body)
                    .map_err(|_| "the body is not Postrider's envelope")?;
                if ours.id != id {
                    return Err("the envelope's id is not the header's");
                }
                Ok(Content {
                    instance: ours.instance,
                    event_type: ours.r#type,
                    data: ours.data,
                })
            }
            Dialect::Ryze => {
                let ryze: Ryze<'a> = serde_json::from_slice(body)
                    .map_err(|_| "the body is not RyzeAPI's envelope")?;
                Ok(Content {
                    instance: ryze.instance_data.instance,
                    event_type: ryze.event,
                    data: ryze.data,
                })
            }
            Dialect::Evolution | Dialect::Codechat | Dialect::Vzaps => {
                Err("the demo has no endpoint of this dialect")
            }
        }
    }
}

impl Content<'_> {
    /// One value that tells all of it apart from any other.
    fn digest(&self) -> [u8; 32] {
        let mut digest = Sha256::new();
        for part in [
            &*self.instance,
            "\u{1f}",
            &*self.event_type,
            "\u{1f}",
            self.data.get(),
        ] {
            digest.update(part);
        }
        digest.finalize().into()
    }
}

/// A header's text, empty where it is none.
fn header<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers
        .get(name)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;
    use crate::crypto::signature_header;

    const BODY: &str = r#"{"id":"evt_1_a","type":"call.update","instance":"acme","timestamp":"2026-04-28T10:30:00.000Z","data":{ "a":1}}"#;

    fn mailboxes() -> Vec<Mailbox> {
        let secret = Some(SigningSecret::generate(&mut StdRng::seed_from_u64(7)));
        vec![Mailbox {
            name: "acme/crm",
            dialect: Dialect::Postrider,
            secret,
            authorization: Some("Bearer t".to_owned()),
            by_events: true,
            can_break: false,
        }]
    }

    /// Reads what was signed as `signed_body` and sent as `body`.
    fn send(path: &'static str, authorization: &str, signed_body: &str, body: &str) -> Mail {
        let mailboxes = mailboxes();
        let secrets = [mailboxes[0].secret.clone().unwrap()];
        let mut headers = HeaderMap::new();
        headers.insert("webhook-id", "evt_1_a".parse().unwrap());
        headers.insert("webhook-timestamp", "1777372200".parse().unwrap());
        let signature = signature_header(&secrets, "evt_1_a", "1777372200", signed_body.as_bytes());
        headers.insert("webhook-signature", signature);
        headers.insert("authorization", authorization.parse().unwrap());
        read(
            &mailboxes,
            &Uri::from_static(path),
            &headers,
            body.as_bytes(),
        )
    }

    #[test]
    fn what_is_right_is_accepted_and_its_digest_is_that_of_instance_type_and_data() {
        let mail = send("/acme/crm/call.update", "Bearer t", BODY, BODY);
        let expected: [u8; 32] = Sha256::digest("acme\u{1f}call.update\u{1f}{ \"a\":1}").into();
        assert_eq!((mail.fault, mail.digest), (None, expected));
        assert_eq!(
            (&*mail.address.to, &*mail.address.webhook_id),
            ("acme/crm", "evt_1_a")
        );
    }

    #[test]
    fn what_is_wrong_is_named() {
        let check = |path, authorization, signed_body: &str, body: &str, fault: &str| {
            assert_eq!(
                send(path, authorization, signed_body, body).fault,
                Some(fault)
            );
        };
        let by_event = "/acme/crm/call.update";
        let changed = BODY.replace('1', "2");
        check(
            by_event,
            "Bearer t",
            BODY,
            &changed,
            "the signature is not right",
        );
        check(
            by_event,
            "Bearer x",
            BODY,
            BODY,
            "the Authorization is not right",
        );
        check(
            "/acme/crm",
            "Bearer t",
            BODY,
            BODY,
            "the path does not fit the event's type",
        );
        check(
            "/acme/crmx",
            "Bearer t",
            BODY,
            BODY,
            "there is no such mailbox",
        );
        check(
            by_event,
            "Bearer t",
            &changed,
            &changed,
            "the envelope's id is not the header's",
        );
        check(
            by_event,
            "Bearer t",
            "[]",
            "[]",
            "the body is not Postrider's envelope",
        );
    }
}
