//! Going on from a cursor, an event's id, a time, or the start.

use postrider::db::tail::{Cursor, Gap, Origin, Tail, earliest};
use postrider::db::{Database, Purpose};
use sqlx::{Connection, Executor, PgConnection};
use time::OffsetDateTime;

use super::steps::{emit, read_all};
use crate::support::app::TestApp;
use crate::support::wait::{PATIENCE, until};

/// Everything an origin leads to, up to where the tail is; or why not.
pub(super) async fn resume(
    database: &Database,
    tail: &Tail,
    origin: Origin,
) -> Result<Vec<i64>, Gap> {
    let present = tail.position().unwrap();
    let cursor = database.locate(&origin, &present).await.unwrap()?;
    let mut ids = Vec::new();
    for mut from in cursor.stretches_to(&present) {
        loop {
            let page = database.missed(&from, None).await.unwrap()?;
            ids.extend(page.events.iter().map(|event| event.id));
            match page.events.last().filter(|_| page.more) {
                Some(last) => from.id = last.id,
                None => break,
            }
        }
    }
    Ok(ids)
}

/// A database to resume with.
pub(super) fn reader(app: &TestApp) -> Database {
    Database::open(app.options(), Purpose::Worker, 4)
}

#[tokio::test]
async fn what_was_missed_is_not_read_by_transaction_ids_of_before_a_crash() {
    let app = TestApp::start().await;
    let database = reader(&app);
    let mut tail = Tail::new(app.options());
    let mut writer = PgConnection::connect_with(&app.options()).await.unwrap();
    emit(&mut writer).await;
    read_all(&mut tail).await;
    let cursor = tail.position().unwrap();
    let missed = [emit(&mut writer).await, emit(&mut writer).await];
    read_all(&mut tail).await;
    let [_, since] = cursor.stretches_to(&tail.position().unwrap());
    assert!(database.missed(&since, None).await.is_ok());
    // What a crash does to an unlogged table.
    app.sql("delete from postrider.incarnation").await;
    assert!(database.missed(&since, None).await.is_err());
    // Nor once somebody else has taken note of it.
    read_all(&mut Tail::new(app.options())).await;
    assert!(database.missed(&since, None).await.is_err());
    read_all(&mut tail).await;
    let resumed = resume(&database, &tail, Origin::Cursor(cursor)).await;
    assert_eq!(resumed.unwrap(), missed);
}

#[tokio::test]
async fn from_a_cursor_comes_exactly_what_was_missed() {
    let app = TestApp::start().await;
    let database = reader(&app);
    let mut tail = Tail::new(app.options());
    read_all(&mut tail).await;
    let mut slow = PgConnection::connect_with(&app.options()).await.unwrap();
    let mut quick = PgConnection::connect_with(&app.options()).await.unwrap();
    slow.execute("begin").await.unwrap();
    let late = emit(&mut slow).await;
    let [first, second, third] = [
        emit(&mut quick).await,
        emit(&mut quick).await,
        emit(&mut quick).await,
    ];
    let step = tail.step().await.unwrap();
    let after_second = Cursor::stem(step.epoch, &step.before, &step.after).cursor(second);
    let resume = async |tail: &Tail, text: &str| {
        let cursor = text.parse().unwrap();
        resume(&database, tail, Origin::Cursor(cursor))
            .await
            .unwrap()
    };
    assert_eq!(resume(&tail, &after_second).await, [third]);
    slow.execute("commit").await.unwrap();
    let fourth = emit(&mut quick).await;
    read_all(&mut tail).await;
    assert_eq!(resume(&tail, &after_second).await, [third, late, fourth]);
    let first_event: (i64, i32) =
        sqlx::query_as("select id, nonce from postrider.events where id = $1")
            .bind(first)
            .fetch_one(app.pool())
            .await
            .unwrap();
    let origin = Origin::Event {
        id: first_event.0,
        nonce: first_event.1,
    };
    // What was in flight beside it is there, once, by its id.
    let resumed = super::resuming::resume(&database, &tail, origin)
        .await
        .unwrap();
    assert_eq!(resumed, [late, second, third, fourth]);
}

#[tokio::test]
async fn after_an_event_comes_the_rest_of_its_own_transaction() {
    let app = TestApp::start().await;
    let database = reader(&app);
    let mut tail = Tail::new(app.options());
    read_all(&mut tail).await;
    let ids: Vec<String> = app
        .value("select postrider.emit_rows('{shop,shop,shop}', '{a,b,c}', array['{}','{}','{}']::json[])")
        .await;
    read_all(&mut tail).await;
    let origin = Origin::of_event_id(&ids[0]).unwrap();
    assert_eq!(resume(&database, &tail, origin).await.unwrap().len(), 2);
    let origin = Origin::of_event_id(&ids[2]).unwrap();
    assert_eq!(resume(&database, &tail, origin).await.unwrap().len(), 0);
}

#[tokio::test]
async fn from_the_start_and_since_a_time() {
    let app = TestApp::start().await;
    let database = reader(&app);
    let mut tail = Tail::new(app.options());
    read_all(&mut tail).await;
    let mut writer = PgConnection::connect_with(&app.options()).await.unwrap();
    let old = emit(&mut writer).await;
    app.sql("update postrider.events set created_at = now() - interval '1 hour'")
        .await;
    let now: OffsetDateTime = app.value("select clock_timestamp()").await;
    let new = emit(&mut writer).await;
    read_all(&mut tail).await;
    assert_eq!(
        resume(&database, &tail, Origin::Earliest).await,
        Ok(vec![old, new])
    );
    assert_eq!(
        resume(&database, &tail, Origin::Since(now)).await,
        Ok(vec![new])
    );
}

#[tokio::test]
async fn a_reader_that_retention_overtook_is_told_so() {
    let app = TestApp::start().await;
    let database = reader(&app);
    let mut tail = Tail::new(app.options());
    read_all(&mut tail).await;
    let cursor = tail.position().unwrap();
    let mut writer = PgConnection::connect_with(&app.options()).await.unwrap();
    emit(&mut writer).await;
    let kept = emit(&mut writer).await;
    read_all(&mut tail).await;
    app.sql("delete from postrider.events where id = (select min(id) from postrider.events)")
        .await;
    let resumed = resume(&database, &tail, Origin::Cursor(cursor)).await;
    assert_eq!(resumed, Err(Gap::Removed));
    // Who had read it is not, once what ran beside it on this server has ended.
    until(
        "the removed event is behind everybody",
        PATIENCE,
        async || {
            read_all(&mut tail).await;
            let here = tail.position().unwrap();
            resume(&database, &tail, Origin::Cursor(here)).await == Ok(vec![])
        },
    )
    .await;
    assert_eq!(
        resume(&database, &tail, Origin::Earliest).await,
        Ok(vec![kept])
    );
    let unknown = Origin::Event { id: 1, nonce: 1 };
    assert_eq!(
        resume(&database, &tail, unknown).await,
        Err(Gap::UnknownEvent)
    );
    let mut foreign = earliest(&tail.position().unwrap());
    foreign.epoch.0 ^= 1;
    assert_eq!(
        resume(&database, &tail, Origin::Cursor(foreign)).await,
        Err(Gap::Foreign)
    );
}
