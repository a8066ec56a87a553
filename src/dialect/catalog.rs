//! Which event of one dialect is which of another. Names only: an event's data is never looked at or changed.
//!
//! Each row of [`CONCEPTS`] is one thing that can happen, under the name each dialect has for it. A name may stand in several
//! rows (`RyzeAPI` calls everything about a message `message.exchange`); the first decides what it is called elsewhere. So a
//! row in which a dialect has no name, put first, says that there is no telling: `connection.update` may be `VZaps`'s
//! `Connected` or its `Disconnected`, and becomes neither. What no row has passes through under its own name.
//!
//! The table `postrider.event_names` says the same to the fan-out; a test holds the two together.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::Dialect;

/// The dialects that name events, in the order of the columns.
const NAMING: [Dialect; 4] = [
    Dialect::Ryze,
    Dialect::Evolution,
    Dialect::Codechat,
    Dialect::Vzaps,
];

/// One name for each of [`NAMING`], empty where it has none.
type Names = [&'static str; NAMING.len()];

/// What can happen. The columns are `RyzeAPI`, Evolution API, `CodeChat`, `VZaps`.
#[rustfmt::skip]
const CONCEPTS: [Names; 39] = [
    ["message.exchange", "messages.upsert", "messages.upsert", "Message"],
    ["message.exchange", "send.message", "send.message", "Message"],
    ["message.status", "messages.update", "messages.update", "ReadReceipt"],
    ["message.exchange", "messages.edited", "messages.update", "Message"],
    ["message.exchange", "send.message.update", "messages.update", "Message"],
    ["message.exchange", "messages.delete", "messages.update", "Message"],
    ["", "messages.set", "messages.set", "HistorySync"],
    ["", "messaging-history.set", "messages.set", "HistorySync"],
    ["instance.state", "connection.update", "connection.update", ""],
    ["instance.state", "connection.update", "connection.update", "Connected"],
    ["instance.state", "connection.update", "connection.update", "Disconnected"],
    ["instance.state", "qrcode.updated", "qrcode.updated", ""],
    ["instance.state", "status.instance", "status.instance", ""],
    ["group.flow", "group-participants.update", "group-participants.update", ""],
    ["group.flow", "group-participants.update", "group-participants.update", "GroupParticipantsAdd"],
    ["group.flow", "group-participants.update", "group-participants.update", "GroupParticipantsRemove"],
    ["group.flow", "groups.update", "groups.update", ""],
    ["group.flow", "groups.upsert", "groups.upsert", ""],
    ["call.update", "call", "call.upsert", ""],
    ["label.update", "labels.edit", "", ""],
    ["label.update", "labels.association", "", ""],
    ["", "presence.update", "presence.update", "Presence"],
    ["", "presence.update", "presence.update", "ChatPresence"],
    ["", "contacts.set", "contacts.set", ""],
    ["", "contacts.upsert", "contacts.upsert", ""],
    ["", "contacts.update", "contacts.update", ""],
    ["", "chats.set", "chats.set", ""],
    ["", "chats.upsert", "chats.upsert", ""],
    ["", "chats.update", "chats.update", ""],
    ["", "chats.delete", "chats.delete", ""],
    ["", "application.startup", "", ""],
    ["", "instance.create", "", ""],
    ["", "instance.delete", "", ""],
    ["", "remove.instance", "", ""],
    ["", "logout.instance", "", ""],
    ["", "typebot.start", "", ""],
    ["", "typebot.change-status", "", ""],
    ["", "creds.update", "", ""],
    ["", "", "refresh.token", ""],
];

/// Other spellings in which `CodeChat` subscribes to its events: its toggles.
const TOGGLES: [(&str, &str); 21] = [
    ("qrcodeUpdate", "qrcode.updated"),
    ("stateInstance", "status.instance"),
    ("statusInstance", "status.instance"),
    ("messagesSet", "messages.set"),
    ("messagesUpsert", "messages.upsert"),
    ("messagesUpdate", "messages.update"),
    ("sendMessage", "send.message"),
    ("contactsSet", "contacts.set"),
    ("contactsUpsert", "contacts.upsert"),
    ("contactsUpdate", "contacts.update"),
    ("presenceUpdate", "presence.update"),
    ("chatsSet", "chats.set"),
    ("chatsUpdate", "chats.update"),
    ("chatsUpsert", "chats.upsert"),
    ("chatsDelete", "chats.delete"),
    ("groupsUpsert", "groups.upsert"),
    ("groupUpdate", "groups.update"),
    ("groupParticipantsUpdate", "group-participants.update"),
    ("connectionUpdate", "connection.update"),
    ("newJwt", "refresh.token"),
    ("callUpsert", "call.upsert"),
];

/// What every known type is called in each of [`NAMING`].
static NAMES: LazyLock<HashMap<&'static str, Names>> = LazyLock::new(|| {
    let known = CONCEPTS.iter().flatten().filter(|name| !name.is_empty());
    known.map(|&known| (known, names_of(known))).collect()
});

/// What subscribes to an event beside its name, with that name.
static SPELLINGS: LazyLock<HashMap<(Dialect, String), &'static str>> = LazyLock::new(|| {
    let keys = own_names(Dialect::Evolution)
        .map(|name| ((Dialect::Evolution, super::evolution::key(name)), name));
    // The enumeration has one name that is not made by that rule.
    let odd = (
        (Dialect::Evolution, "GROUP_UPDATE".to_owned()),
        "groups.update",
    );
    let toggles = TOGGLES.map(|(toggle, name)| ((Dialect::Codechat, toggle.to_owned()), name));
    keys.chain([odd]).chain(toggles).collect()
});

/// What `event_type` is called in `dialect`; itself, where there is no telling.
pub(super) fn name(dialect: Dialect, event_type: &str) -> &str {
    let Some(column) = column(dialect) else {
        return event_type;
    };
    match NAMES.get(event_type).map(|names| names[column]) {
        None | Some("") => event_type,
        Some(name) => name,
    }
}

/// The event that `filter` means in a subscription: a name, another spelling of it, or the name it has in another dialect.
pub(super) fn meant(dialect: Dialect, filter: &str) -> &str {
    match SPELLINGS.get(&(dialect, filter.to_owned())) {
        Some(name) => name,
        None => name(dialect, filter),
    }
}

/// The names that a dialect itself has.
pub(super) fn own_names(dialect: Dialect) -> impl Iterator<Item = &'static str> {
    let columns = column(dialect).into_iter();
    columns.flat_map(|column| {
        CONCEPTS.iter().enumerate().filter_map(move |(row, names)| {
            let name = names[column];
            let is_new = CONCEPTS[..row].iter().all(|above| above[column] != name);
            (!name.is_empty() && is_new).then_some(name)
        })
    })
}

/// Every row of `postrider.event_names`: dialect, type or spelling, the name it has, whether events are emitted under it.
pub(super) fn rows() -> Vec<(Dialect, String, &'static str, bool)> {
    let named = NAMES.iter().flat_map(|(&event_type, names)| {
        let columns = NAMING.into_iter().zip(*names);
        columns
            .filter(|(_, name)| !name.is_empty())
            .map(move |(dialect, name)| (dialect, event_type.to_owned(), name, true))
    });
    let spelt = SPELLINGS
        .iter()
        .map(|((dialect, spelling), &name)| (*dialect, spelling.clone(), name, false));
    named.chain(spelt).collect()
}

/// The column of a dialect that names events.
fn column(dialect: Dialect) -> Option<usize> {
    NAMING.iter().position(|naming| *naming == dialect)
}

/// The row that decides for `known`, with `known` itself wherever it is a name.
fn names_of(known: &'static str) -> Names {
    let first = CONCEPTS.iter().find(|names| names.contains(&known));
    let mut decided = *first.expect("only names in the table are asked for");
    for (column, name) in decided.iter_mut().enumerate() {
        if CONCEPTS.iter().any(|names| names[column] == known) {
            *name = known;
        }
    }
    decided
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_has_the_name_of_the_dialect_it_is_sent_in() {
        let check = |event_type: &str, expected: Names| {
            let names = NAMING.map(|dialect| name(dialect, event_type));
            assert_eq!(names, expected, "{event_type}");
            assert_eq!(name(Dialect::Postrider, event_type), event_type);
        };
        let message = [
            "message.exchange",
            "messages.upsert",
            "messages.upsert",
            "Message",
        ];
        check("message.exchange", message);
        check("messages.upsert", message);
        check("Message", message);
        check(
            "send.message",
            [
                "message.exchange",
                "send.message",
                "send.message",
                "Message",
            ],
        );
        check("call", ["call.update", "call", "call.upsert", "call"]);
        check("order.paid", ["order.paid"; 4]);
    }

    #[test]
    fn what_could_be_either_of_two_becomes_neither() {
        assert_eq!(
            name(Dialect::Vzaps, "connection.update"),
            "connection.update"
        );
        assert_eq!(name(Dialect::Vzaps, "group.flow"), "group.flow");
        assert_eq!(name(Dialect::Evolution, "Connected"), "connection.update");
        assert_eq!(name(Dialect::Ryze, "GroupParticipantsAdd"), "group.flow");
    }

    #[test]
    fn a_subscription_may_use_every_spelling_of_its_dialect_and_foreign_names() {
        let check = |dialect, filter, expected| assert_eq!(meant(dialect, filter), expected);
        check(Dialect::Evolution, "MESSAGES_UPSERT", "messages.upsert");
        check(Dialect::Evolution, "GROUP_UPDATE", "groups.update");
        check(Dialect::Evolution, "GROUPS_UPDATE", "groups.update");
        check(
            Dialect::Evolution,
            "GROUP_PARTICIPANTS_UPDATE",
            "group-participants.update",
        );
        check(Dialect::Evolution, "message.exchange", "messages.upsert");
        check(Dialect::Codechat, "stateInstance", "status.instance");
        check(Dialect::Ryze, "MESSAGES_UPSERT", "MESSAGES_UPSERT");
        check(Dialect::Postrider, "message.exchange", "message.exchange");
    }
}
