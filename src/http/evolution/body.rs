//! What `…/set` and `/instance/create` take for a channel, in every spelling that clients use, and what is wrong with it in the
//! words they know.
//!
//! `{"webhook": {…}}` or the same without the name around it; `byEvents`, `webhookByEvents` or `webhook_by_events`, and
//! likewise for base64.

use std::collections::BTreeMap;

use secrecy::SecretString;
use serde_json::{Map, Value};

use crate::db::administration::Change;
use crate::dialect::evolution::{self, EVENTS};
use crate::model::check_header;

/// A channel of Evolution API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Channel {
    /// HTTP.
    Webhook,
    /// Sockets.
    Websocket,
    /// `RabbitMQ`.
    Rabbitmq,
    /// Amazon SQS.
    Sqs,
    /// Pusher.
    Pusher,
}

impl Channel {
    /// All of them.
    pub(super) const ALL: [Self; 5] = [
        Self::Webhook,
        Self::Websocket,
        Self::Rabbitmq,
        Self::Sqs,
        Self::Pusher,
    ];

    /// Its name, here and in the table.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Webhook => "webhook",
            Self::Websocket => "websocket",
            Self::Rabbitmq => "rabbitmq",
            Self::Sqs => "sqs",
            Self::Pusher => "pusher",
        }
    }

    /// What cannot be left out.
    fn required(self) -> &'static [&'static str] {
        match self {
            Self::Webhook => &["enabled", "url"],
            Self::Websocket | Self::Rabbitmq | Self::Sqs => &["enabled"],
            Self::Pusher => &["enabled", "appId", "key", "secret", "cluster", "useTLS"],
        }
    }
}

/// What a caller wants of a channel. What is none stays as it is.
#[derive(Debug, Default)]
pub(super) struct Block {
    /// Whether it is on.
    pub(super) enabled: bool,
    /// Where a webhook goes.
    pub(super) url: String,
    /// A webhook's own headers.
    pub(super) headers: Change<BTreeMap<String, SecretString>>,
    /// Whether the event is appended to the URL.
    pub(super) by_events: Option<bool>,
    /// Whether media come as base64.
    pub(super) base64: Option<bool>,
    /// The events, as they are called on the wire.
    pub(super) events: Vec<String>,
    /// Pusher's application as it is kept: `app_id`, key, secret, cluster, `use_tls`.
    pub(super) pusher: Option<Map<String, Value>>,
}

/// Reads the body of `…/set`.
pub(super) fn read(channel: Channel, body: &Value) -> Result<Block, Vec<String>> {
    let Value::Object(whole) = body else {
        return Err(vec!["instance is not of a type(s) object".to_owned()]);
    };
    match whole.get(channel.name()) {
        Some(Value::Object(object)) => Reader::new(channel, object).read(false),
        Some(_) => Err(vec![format!(
            "{} is not of a type(s) object",
            channel.name()
        )]),
        None if is_flat(whole) => Reader::new(channel, whole).read(true),
        None => Err(vec![format!(
            "instance requires property \"{}\"",
            channel.name()
        )]),
    }
}

/// Reads a channel's block in the body of `/instance/create`: to be there is to be enabled.
pub(super) fn read_present(
    channel: Channel,
    object: &Map<String, Value>,
) -> Result<Block, Vec<String>> {
    let mut object = object.clone();
    object.insert("enabled".to_owned(), Value::Bool(true));
    Reader::new(channel, &object).read(false)
}

/// Whether the block stands there without its name around it.
fn is_flat(whole: &Map<String, Value>) -> bool {
    ["url", "enabled", "events", "appId"]
        .iter()
        .any(|name| whole.contains_key(*name))
}

/// Reads one block, gathering what is wrong with it.
struct Reader<'a> {
    channel: Channel,
    object: &'a Map<String, Value>,
    problems: Vec<String>,
}

impl<'a> Reader<'a> {
    fn new(channel: Channel, object: &'a Map<String, Value>) -> Self {
        Self {
            channel,
            object,
            problems: Vec::new(),
        }
    }

    /// Reads it all. Older clients, which put no name around it, take it to be enabled unless they say otherwise.
    fn read(mut self, flat: bool) -> Result<Block, Vec<String>> {
        for name in self.channel.required() {
            let may_lack = flat && *name == "enabled";
            if !self.object.contains_key(*name) && !may_lack {
                let place = self.channel.name();
                self.problem(format!("{place} requires property \"{name}\""));
            }
        }
        let mut block = Block {
            enabled: self.boolean(&["enabled"]).unwrap_or(true),
            events: self.events(),
            ..Block::default()
        };
        match self.channel {
            Channel::Webhook => self.webhook(&mut block),
            Channel::Pusher => block.pusher = Some(self.pusher()),
            Channel::Websocket | Channel::Rabbitmq | Channel::Sqs => {}
        }
        if self.problems.is_empty() {
            Ok(block)
        } else {
            Err(self.problems)
        }
    }

    /// What only a webhook has.
    fn webhook(&mut self, block: &mut Block) {
        block.url = self.text("url").unwrap_or_default();
        block.by_events = self.boolean(&["byEvents", "webhookByEvents", "webhook_by_events"]);
        block.base64 = self.boolean(&["base64", "webhookBase64", "webhook_base64"]);
        block.headers = self.headers();
    }

    /// What only Pusher has, under the names that endpoints of any dialect keep it by.
    fn pusher(&mut self) -> Map<String, Value> {
        let mut settings = Map::new();
        for (name, kept) in [
            ("appId", "app_id"),
            ("key", "key"),
            ("secret", "secret"),
            ("cluster", "cluster"),
        ] {
            if let Some(text) = self.text(name) {
                settings.insert(kept.to_owned(), text.into());
            }
        }
        if let Some(tls) = self.boolean(&["useTLS"]) {
            settings.insert("use_tls".to_owned(), tls.into());
        }
        settings
    }

    /// The events. None named means all, and so does an empty list.
    fn events(&mut self) -> Vec<String> {
        let items = match self.object.get("events") {
            None | Some(Value::Null) => return Vec::new(),
            Some(Value::Array(items)) => items,
            Some(_) => {
                self.wrong("events", "array");
                return Vec::new();
            }
        };
        let mut wanted: Vec<String> = Vec::with_capacity(EVENTS.len());
        for (index, item) in items.iter().enumerate() {
            let meant = item.as_str().and_then(evolution::event);
            match meant {
                // Repetitions say nothing, and a list of them has no end.
                Some(name) if wanted.iter().any(|known| known == name) => {}
                Some(name) => wanted.push(name.to_owned()),
                None if self.problems.len() < EVENTS.len() => {
                    let names: Vec<&str> = EVENTS.iter().map(|(key, _)| *key).collect();
                    let place = self.channel.name();
                    self.problem(format!(
                        "{place}.events[{index}] is not one of enum values: {}",
                        names.join(",")
                    ));
                }
                None => break,
            }
        }
        wanted
    }

    /// A webhook's headers: texts, numbers and truth values, as they are written.
    fn headers(&mut self) -> Change<BTreeMap<String, SecretString>> {
        let object = match self.object.get("headers") {
            None => return Change::Keep,
            Some(Value::Null) => return Change::Remove,
            Some(Value::Object(object)) => object,
            Some(_) => {
                self.wrong("headers", "object");
                return Change::Keep;
            }
        };
        let mut headers = BTreeMap::new();
        for (name, value) in object {
            let text = match value {
                Value::String(text) => text.clone(),
                Value::Number(_) | Value::Bool(_) => value.to_string(),
                Value::Null => continue,
                Value::Array(_) | Value::Object(_) => {
                    self.wrong("headers", "object of strings");
                    continue;
                }
            };
            match checked(name, &text) {
                Ok(()) => {
                    headers.insert(name.clone(), SecretString::from(text));
                }
                Err(problem) => self.problem(format!("webhook.headers {problem}")),
            }
        }
        if headers.is_empty() {
            Change::Remove
        } else {
            Change::To(headers)
        }
    }

    /// A truth value under the first of these names that is there.
    fn boolean(&mut self, names: &[&str]) -> Option<bool> {
        let (name, value) = names
            .iter()
            .find_map(|name| Some((*name, self.object.get(*name)?)))?;
        if value.as_bool().is_none() {
            self.wrong(name, "boolean");
        }
        value.as_bool()
    }

    /// A text that is not empty.
    fn text(&mut self, name: &str) -> Option<String> {
        let value = self.object.get(name)?;
        match value.as_str() {
            None => self.wrong(name, "string"),
            Some("") => self.problem(format!("The \"{name}\" cannot be empty")),
            Some(text) => return Some(text.to_owned()),
        }
        None
    }

    /// A value of another type than this.
    fn wrong(&mut self, name: &str, expected: &str) {
        let place = self.channel.name();
        self.problem(format!("{place}.{name} is not of a type(s) {expected}"));
    }

    fn problem(&mut self, problem: String) {
        self.problems.push(problem);
    }
}

/// Whether it can be sent as a header, and is the endpoint's to set.
fn checked(name: &str, value: &str) -> Result<(), String> {
    let shown: String = name.escape_debug().take(64).collect();
    check_header(name, value).map_err(|problem| format!("\"{shown}\" {problem}"))
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_webhook_is_read_in_every_spelling() {
        let bodies = [
            json!({"webhook": {"enabled": true, "url": "https://a.example", "byEvents": true, "base64": true, "events": ["MESSAGES_UPSERT"]}}),
            json!({"webhook": {"enabled": true, "url": "https://a.example", "webhookByEvents": true, "webhookBase64": true, "events": ["MESSAGES_UPSERT"]}}),
            json!({"enabled": true, "url": "https://a.example", "webhookByEvents": true, "webhookBase64": true, "events": ["MESSAGES_UPSERT"]}),
            json!({"url": "https://a.example", "webhook_by_events": true, "webhook_base64": true, "events": ["MESSAGES_UPSERT", "MESSAGES_UPSERT"]}),
        ];
        for body in bodies {
            let block = read(Channel::Webhook, &body).unwrap();
            assert!(block.enabled, "{body}");
            assert_eq!(block.url, "https://a.example");
            assert_eq!((block.by_events, block.base64), (Some(true), Some(true)));
            assert_eq!(block.events, ["messages.upsert"]);
            assert!(matches!(block.headers, Change::Keep));
        }
        let flat = read(
            Channel::Websocket,
            &json!({"enabled": true, "events": ["GROUPS_UPDATE"]}),
        );
        assert_eq!(flat.unwrap().events, ["groups.update"]);
    }

    #[test]
    fn headers_are_texts_and_null_takes_them_away() {
        let with = |headers: Value| {
            read(
                Channel::Webhook,
                &json!({"webhook": {"enabled": true, "url": "https://a.example", "headers": headers}}),
            )
        };
        let block =
            with(json!({"Authorization": "Bearer x", "X-Number": 7, "jwt_key": "k"})).unwrap();
        let Change::To(headers) = block.headers else {
            panic!("there are headers");
        };
        assert_eq!(headers["X-Number"].expose_secret(), "7");
        assert_eq!(headers.len(), 3);
        assert!(matches!(with(Value::Null).unwrap().headers, Change::Remove));
        for bad in [
            json!({"a b": "x"}),
            json!({"a": "x\n"}),
            json!({"Content-Length": "1"}),
            json!({"a": "x".repeat(4097)}),
        ] {
            assert!(with(bad.clone()).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_in_its_words() {
        let check = |channel: Channel, body: Value, expected: &[&str]| {
            let problems = read(channel, &body).unwrap_err();
            assert_eq!(problems.len(), expected.len(), "{problems:?}");
            for (problem, expected) in problems.iter().zip(expected) {
                assert!(problem.starts_with(expected), "{problem}");
            }
        };
        check(
            Channel::Webhook,
            json!({}),
            &["instance requires property \"webhook\""],
        );
        check(
            Channel::Webhook,
            json!([]),
            &["instance is not of a type(s) object"],
        );
        check(
            Channel::Webhook,
            json!({"webhook": "x"}),
            &["webhook is not of a type(s) object"],
        );
        check(
            Channel::Webhook,
            json!({"webhook": {"enabled": true}}),
            &["webhook requires property \"url\""],
        );
        check(
            Channel::Webhook,
            json!({"webhook": {"url": ""}}),
            &[
                "webhook requires property \"enabled\"",
                "The \"url\" cannot be empty",
            ],
        );
        check(
            Channel::Webhook,
            json!({"webhook": {"enabled": "yes", "url": 1, "events": ["message.exchange", 7], "byEvents": 1}}),
            &[
                "webhook.enabled is not of a type(s) boolean",
                "webhook.events[0] is not one of enum values: APPLICATION_STARTUP,QRCODE_UPDATED",
                "webhook.events[1] is not one of enum values",
                "webhook.url is not of a type(s) string",
                "webhook.byEvents is not of a type(s) boolean",
            ],
        );
        check(
            Channel::Pusher,
            json!({"pusher": {"enabled": true, "appId": "1", "key": "k", "secret": "", "cluster": "us2"}}),
            &[
                "pusher requires property \"useTLS\"",
                "The \"secret\" cannot be empty",
            ],
        );
        check(
            Channel::Sqs,
            json!({"sqs": {"enabled": true, "events": {}}}),
            &["sqs.events is not of a type(s) array"],
        );
    }
}
