//! What the demo tells of: two tenants of a messaging application, their endpoints, and what happens to them.
//!
//! The events have the shapes a messaging gateway gives them. All statements are shown as they are here.

use std::fmt::Write;
use std::net::SocketAddr;

use rand::CryptoRng;
use secrecy::ExposeSecret;

use super::mail::{DIRECT, Mailbox};
use crate::crypto::SigningSecret;
use crate::dialect::Dialect;

/// What the endpoint that fails is called.
pub(super) const FAILING: &str = "acme/billing";
/// Who is told of dead letters.
pub(super) const TOLD: &str = "acme/on-call";

/// The application's own table, and how its rows become messages. This is what an application has before Postrider comes.
pub(super) const APPLICATION: &str = "
create table public.messages (
  id bigint generated always as identity primary key
, account text not null
, direction text not null default 'incoming'
, phone text not null
, name text not null
, body text not null
, status text not null default 'sent'
, sent_at timestamptz not null default now()
);
create function public.message_event(message public.messages) returns json language sql stable return json_build_object(
  'id', 'wamid.' || message.id
, 'direction', message.direction
, 'timestamp', to_char(message.sent_at at time zone 'utc', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')
, 'chat', json_build_object('jid', message.phone || '@s.whatsapp.net', 'name', message.name, 'type', 'private')
, 'sender', json_build_object('jid', message.phone || '@s.whatsapp.net', 'name', message.name)
, 'message', json_build_object('type', 'text', 'content', message.body, 'source', 'api', 'isEdit', false)
);
create function public.status_event(message public.messages) returns json language sql stable return json_build_object(
  'timestamp', to_char(now() at time zone 'utc', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')
, 'status', message.status
, 'messageIds', json_build_array('wamid.' || message.id)
, 'chat', json_build_object('jid', message.phone || '@s.whatsapp.net', 'type', 'private')
, 'recipient', message.phone || '@s.whatsapp.net'
);";

/// What that row is called.
pub(super) const SCHEDULE_NAME: &str = "demo";
/// The backoff table's row for people who have no time.
pub(super) const SCHEDULE: &str =
    "insert into postrider.schedules (name, waits, max_attempts, jitter)
values ('demo', '{0.2 s,0.4 s,0.8 s,1.6 s}', 5, 0)";

/// Every new message is an event of the account it belongs to.
pub(super) const CAPTURE: &str = "select postrider.capture('public.messages', type => 'message.exchange', instance => 'new.account'
  , data => 'public.message_event(new)')";

/// A change of status is one too, where it is news: for messages that were sent.
pub(super) const CAPTURE_WHEN: &str = "select postrider.capture('public.messages', type => 'message.status', instance => 'new.account'
  , data => 'public.status_event(new)', operations => '{update}'
  , when_ => 'new.direction = ''outgoing'' and new.status <> old.status')";

/// One row.
pub(super) const INSERT: &str = "insert into messages (account, phone, name, body)
values ('acme', '5511987654321', 'Ana Souza', 'Hi! Is my order on its way?')";

/// Many rows in one statement.
pub(super) const INSERT_MANY: &str = "insert into messages (account, direction, phone, name, body)
select (array['acme','globex'])[1 + n % 2], (array['incoming','outgoing'])[1 + n / 2 % 2]
  , 551180000000 + n, 'Customer ' || n, 'Order ' || n || ' has left' from generate_series(1, 1000) n";

/// Changes of which only some are events.
pub(super) const UPDATE: &str = "update messages set status = 'read' where id <= 100";

/// What never was.
pub(super) const ROLLED_BACK: &str = "update messages set status = 'played'";

/// One event from the application itself, twice, with a key that makes it one.
pub(super) const EMIT: &str = r#"select postrider.emit('acme', 'group.flow', '{"type":"joined","groupName":"Book club"
  ,"groupJid":"120363041234567890@g.us"}', idempotency_key => 'joined-17') from generate_series(1, 2)"#;

/// Several events in one call.
pub(super) const EMIT_MANY: &str = r#"select postrider.emit_many('[{"instance":"acme","type":"instance.state","data":{"state":"connected"}}
  ,{"instance":"globex","type":"instance.state","data":{"state":"qr_ready"}}]')"#;

/// Fire and forget.
pub(super) const NOTIFY: &str = r#"select pg_notify('postrider_emit', '{"instance":"globex","type":"label.update"
  ,"data":{"type":"edit","label":{"id":"3","name":"VIP","color":5}}}')"#;

/// What goes to the endpoint that fails.
pub(super) const CALL: &str = r#"select postrider.emit('acme', 'call.update', '{"type":"offer","id":"call-42"
  ,"from":"5511987654321@s.whatsapp.net","isVideo":false}')"#;

/// The documented operator's line.
pub(super) const REQUEUE: &str = "update webhook_queue set status='pending', next_retry_at=now()
where status='failed' and instance_name='acme'";

/// A row that is sent as it stands.
pub(super) fn direct(receiver: SocketAddr) -> String {
    format!(
        "insert into webhook_queue (instance_name, url, payload, event_type)
values ('acme', 'http://{receiver}/{DIRECT}', '{{\"text\":\"as it stands\"}}', 'message.exchange')"
    )
}

/// One message of the steady trickle.
pub(super) fn trickle(number: u64) -> String {
    let account = if number.is_multiple_of(2) {
        "acme"
    } else {
        "globex"
    };
    format!(
        "insert into messages (account, phone, name, body)
values ('{account}', '5511987654321', 'Ana Souza', 'Message {number}')"
    )
}

/// The receiver's mailboxes, with secrets nobody knew before.
pub(super) fn mailboxes(randomness: &mut impl CryptoRng) -> Vec<Mailbox> {
    let mut mailbox = |name| Mailbox {
        name,
        dialect: Dialect::Postrider,
        secret: Some(SigningSecret::generate(randomness)),
        authorization: None,
        by_events: false,
        can_break: name == FAILING,
    };
    vec![
        mailbox("acme/crm"),
        Mailbox {
            dialect: Dialect::Ryze,
            secret: None,
            authorization: Some(format!("Bearer {:032x}", rand::random::<u128>())),
            ..mailbox("acme/legacy")
        },
        mailbox(FAILING),
        mailbox(TOLD),
        Mailbox {
            by_events: true,
            ..mailbox("globex/hooks")
        },
    ]
}

/// Creates the instances and, for each mailbox, its endpoint. Not shown, for it holds secrets.
pub(super) fn endpoints(mailboxes: &[Mailbox], receiver: SocketAddr) -> String {
    let mut statements =
        "select postrider.create_instance('acme'); select postrider.create_instance('globex');"
            .to_owned();
    for mailbox in mailboxes {
        let (instance, label) = mailbox
            .name
            .split_once('/')
            .expect("a mailbox is called instance/label");
        let (events, schedule) = match label {
            "legacy" => ("'{message.exchange,message.status}'", "null"),
            "billing" => ("'{call.update}'", "'demo'"),
            "on-call" => ("'{postrider.delivery.exhausted}'", "null"),
            _ => ("null", "null"),
        };
        let secret = mailbox.secret.as_ref().map_or("null".to_owned(), |secret| {
            format!("'{}'", secret.text().expose_secret())
        });
        let authorization = mailbox
            .authorization
            .as_ref()
            .map_or("null".to_owned(), |text| format!("'{text}'"));
        let _ = write!(
            statements,
            "select postrider.set_endpoint('{instance}', 'http://{receiver}/{name}', '{label}', {events}, '{dialect}'
              , authorization_header => {authorization}, signing_secret => {secret}, by_events => {by_events}, schedule => {schedule});",
            name = mailbox.name,
            dialect = mailbox.dialect.as_str(),
            by_events = mailbox.by_events,
        );
    }
    statements
}
