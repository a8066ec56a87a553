//! Who sent an event, for the envelopes that tell of it.

use postrider::db::tail::Tail;

use crate::support::app::TestApp;

#[tokio::test]
async fn an_event_is_read_with_the_sender_it_was_given_and_others_without() {
    let app = TestApp::start().await;
    let mut tail = Tail::new(app.options());
    tail.step().await.unwrap();
    app.sql(
        "select postrider.emit('shop', 'message.exchange', '{}', sender => '5511@s.whatsapp.net')",
    )
    .await;
    app.emit("message.exchange", "{}").await;
    let events = tail.step().await.unwrap().events;
    let senders: Vec<_> = events.iter().map(|event| event.sender.as_deref()).collect();
    assert_eq!(senders, [Some("5511@s.whatsapp.net"), None]);
}
