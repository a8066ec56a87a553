//! The switches of a webhook and the events behind them.
//!
//! `CodeChat` has no list of event names but a switch for each. An endpoint keeps the names behind the switches that are on;
//! with all of them on it keeps no list, and so has every event, those that no switch is for too.

use crate::dialect::Dialect;

/// A switch of a webhook, and the event it lets through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Toggle {
    /// As requests and answers spell it.
    pub(super) name: &'static str,
    /// The name in the envelope's `event`.
    pub(super) event: &'static str,
    /// What is sent while it is on.
    pub(super) what: &'static str,
}

/// The documented switches, in the order of the documentation. Each is on until it is switched off.
#[rustfmt::skip]
pub(super) const TOGGLES: [Toggle; 19] = [
    toggle("qrcodeUpdate", "qrcode.updated", "The QR code."),
    toggle("stateInstance", "status.instance", "The state of the instance."),
    toggle("messagesSet", "messages.set", "Old messages, in batches."),
    toggle("messagesUpsert", "messages.upsert", "New incoming messages."),
    toggle("messagesUpdate", "messages.update", "Updates of messages."),
    toggle("sendMessage", "send.message", "Messages sent by the API."),
    toggle("contactsSet", "contacts.set", "The first batch of contacts."),
    toggle("contactsUpsert", "contacts.upsert", "New contacts."),
    toggle("contactsUpdate", "contacts.update", "Updates of contacts."),
    toggle("presenceUpdate", "presence.update", "What contacts do in a chat."),
    toggle("chatsSet", "chats.set", "All loaded chats."),
    toggle("chatsUpdate", "chats.update", "Updates of chats."),
    toggle("chatsUpsert", "chats.upsert", "New chats."),
    toggle("chatsDelete", "chats.delete", "Deleted chats (deprecated)."),
    toggle("groupsUpsert", "groups.upsert", "New groups."),
    toggle("groupUpdate", "groups.update", "Updates of groups."),
    toggle("groupParticipantsUpdate", "group-participants.update", "Updates of the members of groups."),
    toggle("connectionUpdate", "connection.update", "Changes of the connection."),
    toggle("newJwt", "refresh.token", "A new JSON web token."),
];

/// A switch that later versions have beside the documented ones. It is understood, and not shown.
const CALL_UPSERT: Toggle = toggle("callUpsert", "call.upsert", "Calls.");

/// How the documentation's text spells `stateInstance`, which its schema does not.
pub(super) const STATE_INSTANCE_IN_TEXT: &str = "statusInstance";

/// Stands in the list of an endpoint that wants nothing, since an empty list wants everything. No event can be called so: names
/// have no spaces.
const NO_EVENTS: &str = "no events";

const fn toggle(name: &'static str, event: &'static str, what: &'static str) -> Toggle {
    Toggle { name, event, what }
}

impl Toggle {
    /// The documented ones and the other.
    pub(super) fn all() -> impl Iterator<Item = Self> {
        TOGGLES.into_iter().chain([CALL_UPSERT])
    }

    /// The switch of this name, in each of its spellings.
    pub(super) fn named(name: &str) -> Option<Self> {
        let name = match name {
            STATE_INSTANCE_IN_TEXT => "stateInstance",
            other => other,
        };
        Self::all().find(|toggle| toggle.name == name)
    }

    /// Whether it is on at an endpoint with this list of events.
    pub(super) fn is_on(self, events: &[String]) -> bool {
        let meant = |event: &String| Dialect::Codechat.meant(event) == self.event;
        events.is_empty() || events.iter().any(meant)
    }
}

/// The list of events after some switches were moved. What no switch is for stays in it.
pub(super) fn switched(events: &[String], moved: &[(Toggle, bool)]) -> Vec<String> {
    let is_on = |toggle: Toggle| {
        let last = moved.iter().rev().find(|(other, _)| *other == toggle);
        last.map_or_else(|| toggle.is_on(events), |(_, on)| *on)
    };
    let has_no_switch = |event: &&String| {
        event.as_str() != NO_EVENTS
            && Toggle::all().all(|toggle| toggle.event != Dialect::Codechat.meant(event))
    };
    let mut list: Vec<String> = events.iter().filter(has_no_switch).cloned().collect();
    if list.is_empty() && Toggle::all().all(is_on) {
        return list;
    }
    list.extend(
        Toggle::all()
            .filter(|&toggle| is_on(toggle))
            .map(|toggle| toggle.event.to_owned()),
    );
    if list.is_empty() {
        list.push(NO_EVENTS.to_owned());
    }
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The names of the documented switches that are on.
    fn on(events: &[String]) -> Vec<&'static str> {
        let on = TOGGLES.iter().filter(|toggle| toggle.is_on(events));
        on.map(|toggle| toggle.name).collect()
    }

    fn moves(moved: &[(&str, bool)]) -> Vec<(Toggle, bool)> {
        let named = |name| Toggle::named(name).unwrap();
        moved.iter().map(|&(name, on)| (named(name), on)).collect()
    }

    #[test]
    fn all_are_on_until_one_is_switched_off_and_again_when_it_is_back() {
        assert_eq!(on(&[]).len(), TOGGLES.len());
        let list = switched(&[], &moves(&[("statusInstance", false)]));
        assert_eq!(on(&list).len(), TOGGLES.len() - 1);
        assert!(!list.contains(&"status.instance".to_owned()));
        assert!(list.contains(&"call.upsert".to_owned()), "{list:?}");
        assert_eq!(
            switched(&list, &moves(&[("stateInstance", true)])),
            Vec::<String>::new()
        );
    }

    #[test]
    fn with_all_off_nothing_is_wanted_and_one_can_come_back() {
        let off: Vec<_> = Toggle::all().map(|toggle| (toggle, false)).collect();
        let list = switched(&[], &off);
        assert_eq!(list, [NO_EVENTS]);
        assert!(on(&list).is_empty());
        let list = switched(&list, &moves(&[("newJwt", true)]));
        assert_eq!(list, ["refresh.token"]);
        assert_eq!(on(&list), ["newJwt"]);
    }

    #[test]
    fn what_no_switch_is_for_stays() {
        let list = ["order.paid".to_owned(), "messages.upsert".to_owned()];
        let list = switched(
            &list,
            &moves(&[("messagesUpsert", false), ("chatsSet", true)]),
        );
        assert_eq!(list, ["order.paid", "chats.set"]);
        assert_eq!(switched(&list, &[]), list);
    }

    #[test]
    fn the_last_word_on_a_switch_counts() {
        let list = switched(&[], &moves(&[("newJwt", false), ("newJwt", true)]));
        assert!(list.is_empty(), "{list:?}");
    }

    #[test]
    fn names_of_switches_and_events_are_all_different() {
        let names: std::collections::BTreeSet<_> =
            Toggle::all().map(|toggle| toggle.name).collect();
        let events: std::collections::BTreeSet<_> =
            Toggle::all().map(|toggle| toggle.event).collect();
        assert_eq!((names.len(), events.len()), (20, 20));
        assert_eq!(Toggle::named("qrcodeUpdated"), None);
    }
}
