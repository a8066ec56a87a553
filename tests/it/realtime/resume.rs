//! Where a stream begins: every way to say it, by WebSocket and by server-sent events alike.

use super::raw::{Client, Request};
use super::sidecar::{Sidecar, sidecar};
use super::{STREAM, emit};
use crate::support::app::TestApp;

/// The numbers of the next server-sent events.
async fn sse_numbers(client: &mut Client, count: usize) -> Vec<u64> {
    let mut numbers = Vec::new();
    while numbers.len() < count {
        let event = client.sse().await;
        if event.event != "position" {
            numbers.push(event.json()["data"]["n"].as_u64().unwrap());
        }
    }
    numbers
}

/// Three events; for each, its id and the cursor after it.
async fn three(app: &TestApp, sidecar: &Sidecar) -> Vec<(String, String)> {
    let mut client = Request::to(STREAM).socket(sidecar).await;
    client.settled_after_position().await;
    let mut known = Vec::new();
    for number in 1..=3 {
        emit(app, number).await;
        let event = client.event().await;
        app.behind_everybody().await;
        let text = |key: &str| event[key].as_str().unwrap().to_owned();
        known.push((text("id"), text("cursor")));
    }
    known
}

#[tokio::test(flavor = "multi_thread")]
async fn every_way_to_name_a_place_leads_there_by_websocket_and_by_sse() {
    let app = TestApp::start().await;
    let warm = sidecar(&app).await;
    let known = three(&app, &warm).await;
    // One has the events in its ring, the other has to read the table.
    let cold = sidecar(&app).await;
    let (id, cursor) = &known[0];
    for sidecar in [&warm, &cold] {
        for query in [
            format!("?cursor={cursor}"),
            format!("?cursor={id}"),
            format!("?last_event_id={id}"),
            format!("?last_event_id={cursor}"),
        ] {
            let path = format!("{STREAM}{query}");
            let mut client = Request::to(&path).socket(sidecar).await;
            assert_eq!(client.numbers(2).await, [2, 3], "{query}");
            let (mut client, _) = Request::to(&path).get(sidecar.address).await;
            assert_eq!(sse_numbers(&mut client, 2).await, [2, 3], "{query}");
        }
        for place in [id, cursor] {
            // As a browser reconnects: with its first URL, and what it has seen since.
            let request = || {
                let path = format!("{STREAM}?from=earliest");
                Request::to(path).header("Last-Event-ID", place)
            };
            let mut client = request().socket(sidecar).await;
            assert_eq!(client.numbers(2).await, [2, 3]);
            let (mut client, _) = request().get(sidecar.address).await;
            assert_eq!(sse_numbers(&mut client, 2).await, [2, 3]);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_source_that_reconnects_misses_nothing() {
    let app = TestApp::start().await;
    let first_process = sidecar(&app).await;
    let (mut client, _) = Request::to(STREAM).get(first_process.address).await;
    let position = client.sse().await;
    assert_eq!(position.event, "position");
    // Where it is before the first event counts as well.
    drop(client);
    emit(&app, 1).await;
    let again = Request::to(STREAM).header("Last-Event-ID", &position.id);
    let (mut client, _) = again.get(first_process.address).await;
    client.sse().await;
    let first = client.sse().await;
    assert_eq!(first.json()["data"]["n"], 1);
    drop(first_process);
    emit(&app, 2).await;
    let second_process = sidecar(&app).await;
    let again = Request::to(STREAM).header("Last-Event-ID", &first.id);
    let (mut client, _) = again.get(second_process.address).await;
    assert_eq!(sse_numbers(&mut client, 1).await, [2]);
    // As EventSources that are none of the browser's own say it, with the query they began with.
    let polyfilled = format!("{STREAM}?from=earliest&lastEventId={}", first.id);
    let (mut client, _) = Request::to(&polyfilled).get(second_process.address).await;
    assert_eq!(sse_numbers(&mut client, 1).await, [2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_begins_at_a_time_or_with_everything() {
    let app = TestApp::start().await;
    let sidecar = sidecar(&app).await;
    emit(&app, 1).await;
    let now: String = app
        .value("select to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')")
        .await;
    emit(&app, 2).await;
    emit(&app, 3).await;
    for (query, expected) in [
        (format!("since={now}"), [2, 3].as_slice()),
        ("from=earliest".to_owned(), &[1, 2, 3]),
        ("since=2020-01-01T00:00:00Z".to_owned(), &[1, 2, 3]),
        ("since=2020-01-01T03:00:00%2B03:00".to_owned(), &[1, 2, 3]),
    ] {
        let path = format!("{STREAM}?{query}");
        let mut client = Request::to(&path).socket(&sidecar).await;
        assert_eq!(client.numbers(expected.len()).await, expected, "{query}");
        let (mut client, _) = Request::to(&path).get(sidecar.address).await;
        let numbers = sse_numbers(&mut client, expected.len()).await;
        assert_eq!(numbers, expected, "{query}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_place_that_cannot_be_meant_is_refused() {
    let app = TestApp::start().await;
    let sidecar = sidecar(&app).await;
    for query in [
        "cursor=x",
        "cursor=evt_1",
        "last_event_id=%00",
        "since=yesterday",
        "since=2020-01-01",
        "from=tomorrow",
        "form=earliest",
    ] {
        let path = format!("{STREAM}?{query}");
        let (_, head) = Request::to(&path).upgrade(sidecar.address).await;
        assert_eq!(head.status, 400, "{query}");
        let (_, head) = Request::to(&path).get(sidecar.address).await;
        assert_eq!(head.status, 400, "{query}");
    }
    let request = Request::to(STREAM).header("Last-Event-ID", "x");
    assert_eq!(request.get(sidecar.address).await.1.status, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_older_than_what_is_kept_is_told_so_and_never_answered_in_part() {
    let app = TestApp::start().await;
    let sidecar_before = sidecar(&app).await;
    let known = three(&app, &sidecar_before).await;
    drop(sidecar_before);
    app.sql("delete from postrider.events where data ->> 'n' in ('1', '2')")
        .await;
    let sidecar = sidecar(&app).await;
    let path = format!("{STREAM}?cursor={}", known[0].1);
    let mut client = Request::to(&path).socket(&sidecar).await;
    let position = client.message().await;
    assert_eq!(position["recovered"], false, "{position}");
    assert_eq!(position["reason"], "removed");
    emit(&app, 4).await;
    assert_eq!(client.numbers(1).await, [4]);
    // What is left can be had from there.
    let earliest = position["earliest"].as_str().unwrap();
    let path = format!("{STREAM}?cursor={earliest}");
    let mut client = Request::to(path).socket(&sidecar).await;
    assert_eq!(client.numbers(2).await, [3, 4]);
    // Whoever is past it goes on.
    let path = format!("{STREAM}?cursor={}", known[2].1);
    let mut client = Request::to(path).socket(&sidecar).await;
    assert_eq!(client.numbers(1).await, [4]);
    let request = Request::to(STREAM).header("Last-Event-ID", &known[0].1);
    let (mut client, _) = request.get(sidecar.address).await;
    let position = client.sse().await;
    assert_eq!(position.json()["recovered"], false);
    // An EventSource that hears of it, and is cut off, goes on behind the gap.
    emit(&app, 5).await;
    let request = Request::to(STREAM).header("Last-Event-ID", &position.id);
    let (mut client, _) = request.get(sidecar.address).await;
    assert_eq!(sse_numbers(&mut client, 1).await, [5]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_source_from_which_events_are_removed_while_it_is_given_them_is_told_and_goes_on()
{
    /// The first page of what is missed ends here.
    const LAST_OF_PAGE: u64 = 513;
    let app = TestApp::start().await;
    let first_process = sidecar(&app).await;
    let mut client = Request::to(STREAM).socket(&first_process).await;
    client.settled_after_position().await;
    emit(&app, 1).await;
    let cursor = client.event().await["cursor"].as_str().unwrap().to_owned();
    drop((client, first_process));
    // More than the buffers between us and it take, so that it is not all read at once.
    app.sql(
        "select postrider.emit_rows(array_agg('shop'::text), array_agg('order.paid'::text)
           , array_agg(json_build_object('n', n, 'padding', repeat('x', 40000))))
         from generate_series(2, 700) n",
    )
    .await;
    let second_process = sidecar(&app).await;
    let request = Request::to(STREAM).header("Last-Event-ID", &cursor);
    let (mut client, _) = request.get(second_process.address).await;
    assert_eq!(client.sse().await.json()["recovered"], true);
    app.sql("delete from postrider.events where (data ->> 'n')::integer > 600")
        .await;
    for number in 2..=LAST_OF_PAGE {
        assert_eq!(client.sse().await.json()["data"]["n"], number);
    }
    let told = client.sse().await;
    assert_eq!(told.event, "position");
    assert_eq!(told.json()["recovered"], false);
    assert_eq!(told.json()["reason"], "removed");
    assert_eq!(told.json()["cursor"], told.id.as_str());
    // The stream goes on, and so does whoever comes back with that id.
    emit(&app, 701).await;
    assert_eq!(sse_numbers(&mut client, 1).await, [701]);
    let request = Request::to(STREAM).header("Last-Event-ID", &told.id);
    let (mut client, _) = request.get(second_process.address).await;
    assert_eq!(sse_numbers(&mut client, 1).await, [701]);
    // What is still there of what it missed can be had.
    let earliest = told.json()["earliest"].as_str().unwrap().to_owned();
    let request = Request::to(STREAM).header("Last-Event-ID", &earliest);
    let (mut client, _) = request.get(second_process.address).await;
    assert_eq!(sse_numbers(&mut client, 1).await, [1]);
}
