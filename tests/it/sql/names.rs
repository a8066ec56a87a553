//! The catalog of event names: in the table for the fan-out, in Rust for the worker.

use std::collections::BTreeSet;

use postrider::dialect::{Dialect, event_names};

use crate::support::app::TestApp;

#[tokio::test]
async fn the_table_and_the_program_have_the_same_names() {
    let app = TestApp::start().await;
    let stored: Vec<(String, String, String, bool)> =
        sqlx::query_as("select dialect, type, name, emitted from postrider.event_names")
            .fetch_all(app.pool())
            .await
            .unwrap();
    let stored: BTreeSet<_> = stored.into_iter().collect();
    let known: BTreeSet<_> = event_names()
        .into_iter()
        .map(|(dialect, event_type, name, emitted)| {
            (
                dialect.as_str().to_owned(),
                event_type,
                name.to_owned(),
                emitted,
            )
        })
        .collect();
    assert_eq!(stored, known);
    assert!(stored.len() > 100);
}

#[tokio::test]
async fn the_table_and_the_program_agree_on_who_wants_what() {
    let app = TestApp::start().await;
    let filters: [&[&str]; 9] = [
        &[],
        &["All"],
        &["message.exchange"],
        &["MESSAGES_UPSERT", "GROUP_UPDATE"],
        &["messagesUpsert", "stateInstance"],
        &["Message", "Connected"],
        &["order.paid"],
        &["instance.state", "postrider.endpoint.failing"],
        &["messages.update", "call.update"],
    ];
    let mut types: BTreeSet<_> = event_names()
        .into_iter()
        .filter_map(|(_, event_type, _, emitted)| emitted.then_some(event_type))
        .collect();
    types.extend(["order.paid", "All", "postrider.endpoint.failing"].map(str::to_owned));
    for dialect in Dialect::ALL {
        for filter in filters {
            let filter: Vec<_> = filter.iter().map(|&name| name.to_owned()).collect();
            let wanted: Vec<String> = sqlx::query_scalar("select postrider.wanted_types($1, $2)")
                .bind(dialect.as_str())
                .bind(&filter)
                .fetch_one(app.pool())
                .await
                .unwrap();
            for event_type in &types {
                let by_table = wanted.contains(event_type)
                    || wanted.is_empty() && !event_type.starts_with("postrider.");
                assert_eq!(
                    dialect.wants(&filter, event_type),
                    by_table,
                    "{dialect:?} {filter:?} {event_type}"
                );
            }
        }
    }
}

#[tokio::test]
async fn the_table_and_the_program_append_the_same_to_a_url() {
    let app = TestApp::start().await;
    for dialect in Dialect::ALL {
        for event_type in [
            "message.exchange",
            "group-participants.update",
            "Message",
            "order.paid",
        ] {
            for url in [
                "https://a.example/wh",
                "https://a.example/wh/",
                "https://a.example/wh?a=b/",
                "https://a.example/",
            ] {
                let shown: String =
                    sqlx::query_scalar("select postrider.endpoint_url($1, true, $2, $3)")
                        .bind(url)
                        .bind(event_type)
                        .bind(dialect.as_str())
                        .fetch_one(app.pool())
                        .await
                        .unwrap();
                let used = dialect.url_by_event(&url.parse().unwrap(), event_type);
                assert_eq!(shown, used.as_str());
            }
        }
    }
}
