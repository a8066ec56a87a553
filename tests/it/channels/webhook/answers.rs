//! What is made of a receiver's answers, and of their absence.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use postrider::channels::{Channel, Class, Failure, Outcome, Receipt, Retry, Verdict};
use postrider::model::Endpoint;
use tokio::time::Instant;

use super::{assert_delivered, deliver, direct, endpoint, failure, schedule, to, webhook};
use crate::support::receiver::{Answer, Receiver};

/// A deadline near enough to be waited for in a test.
const SHORT: Duration = Duration::from_millis(300);

/// The failure that `answer` leads to.
async fn failed(answer: Answer) -> Failure {
    let receiver = Receiver::start().await;
    receiver.answer(answer);
    failure(deliver(&webhook(), &receiver.url()).await)
}

/// What comes of `answer` where the deadline is short.
async fn in_short_time(answer: Answer) -> Outcome {
    let receiver = Receiver::start().await;
    receiver.answer(answer);
    let mut parcel = direct(receiver.url());
    parcel.deadline = Instant::now() + SHORT;
    webhook().deliver(&parcel).await
}

fn seconds(wait: u64, spends_attempt: bool) -> Retry {
    Retry::NotBefore {
        wait: Duration::from_secs(wait),
        spends_attempt,
    }
}

#[tokio::test]
async fn every_2xx_is_delivered_and_what_it_said_is_kept() {
    let receiver = Receiver::start().await;
    for status in [200, 201, 202, 204, 299] {
        let answer = Answer::status(status);
        let said = if status == 204 { "" } else { "thanks" };
        receiver.answer(answer.body(said));
        assert_eq!(
            deliver(&webhook(), &receiver.url()).await,
            Outcome::Delivered(Receipt {
                status: Some(status),
                response: said.into(),
                verdict: Verdict::None,
            })
        );
    }
}

#[tokio::test]
async fn every_other_status_fails_in_its_class_and_is_retried_on_schedule() {
    let check = async |status, class, verdict| {
        let failure = failed(Answer::status(status).body("no")).await;
        assert_eq!(
            (failure.class, failure.verdict),
            (class, verdict),
            "{failure:?}"
        );
        assert_eq!(failure.status, Some(status));
        assert_eq!(failure.retry, Retry::OnSchedule);
        assert!(
            failure.detail.starts_with(&status.to_string()),
            "{failure:?}"
        );
        assert_eq!(failure.response, "no");
    };
    check(300, Class::Redirect, Verdict::None).await;
    check(400, Class::Client, Verdict::None).await;
    check(404, Class::Client, Verdict::None).await;
    check(429, Class::Client, Verdict::SlowDown).await;
    check(500, Class::Server, Verdict::None).await;
    check(502, Class::Server, Verdict::SlowDown).await;
    check(503, Class::Server, Verdict::SlowDown).await;
    check(504, Class::Server, Verdict::SlowDown).await;
    check(599, Class::Server, Verdict::None).await;
    check(777, Class::Protocol, Verdict::None).await;
}

#[tokio::test]
async fn a_410_pauses_the_endpoint_and_costs_its_delivery_no_attempt() {
    let failure = failed(Answer::status(410)).await;
    assert_eq!(
        (failure.class, failure.verdict, failure.retry),
        (Class::Gone, Verdict::Pause, seconds(0, false))
    );
}

#[tokio::test]
async fn retry_after_is_heard_and_on_429_and_503_costs_no_attempt() {
    let check = async |status, value, expected| {
        let answer = Answer::status(status).header("retry-after", value);
        assert_eq!(failed(answer).await.retry, expected, "{status} {value}");
    };
    check(503, "7", seconds(7, false)).await;
    check(429, "7", seconds(7, false)).await;
    check(500, "7", seconds(7, true)).await;
    check(503, "999999", seconds(86_400, false)).await;
    check(503, "0", Retry::OnSchedule).await;
    check(503, "later", Retry::OnSchedule).await;
    let date = Answer::status(503)
        .header("date", "Sun, 06 Nov 1994 08:49:37 GMT")
        .header("retry-after", "Sun, 06 Nov 1994 08:50:37 GMT");
    assert_eq!(failed(date).await.retry, seconds(60, false));
}

#[tokio::test]
async fn a_redirect_is_not_followed_and_shows_where_it_led_without_path_or_query() {
    let goal = Receiver::start().await;
    for status in [301, 302, 303, 307, 308] {
        let location = format!("{}secret?token=s3cret", goal.url());
        let failure = failed(Answer::status(status).header("location", &location)).await;
        assert_eq!(failure.class, Class::Redirect);
        let shown = goal.url();
        assert!(
            failure.detail.contains(shown.trim_end_matches('/')),
            "{failure:?}"
        );
        assert!(!failure.detail.contains("secret"), "{failure:?}");
    }
    assert_eq!(goal.count(), 0);
}

#[tokio::test]
async fn a_status_that_the_schedule_calls_final_is_not_tried_again() {
    let receiver = Receiver::start().await;
    receiver.answer(Answer::status(422).header("retry-after", "7"));
    let picky = Endpoint {
        schedule: Arc::new(schedule(&[401, 422])),
        ..endpoint(&receiver.url())
    };
    let failure = failure(webhook().deliver(&to(picky)).await);
    assert_eq!(
        (failure.class, failure.retry),
        (Class::Rejected, Retry::Never)
    );
    assert_eq!(failure.status, Some(422));
}

#[tokio::test]
async fn a_receiver_steers_by_the_header_webhook_delivery() {
    let steer = |status, value| Answer::status(status).header("webhook-delivery", value);
    let dropped = failed(steer(500, "abort-message")).await;
    assert_eq!(
        (dropped.class, dropped.retry, dropped.verdict),
        (Class::Rejected, Retry::Never, Verdict::None)
    );
    let disabled = failed(steer(500, "disable")).await;
    assert_eq!(
        (disabled.retry, disabled.verdict),
        (seconds(0, false), Verdict::Pause)
    );
    let receiver = Receiver::start().await;
    receiver.answer(steer(200, "Disable"));
    match deliver(&webhook(), &receiver.url()).await {
        Outcome::Delivered(receipt) => assert_eq!(receipt.verdict, Verdict::Pause),
        Outcome::Failed(failure) => panic!("{failure:?}"),
    }
}

#[tokio::test]
async fn a_long_body_is_kept_to_16_kib_and_the_connection_is_used_again() {
    let receiver = Receiver::start().await;
    receiver.answer(Answer::ok().body(vec![b'x'; 40 * 1024]));
    let webhook = webhook();
    for _ in 0..3 {
        match deliver(&webhook, &receiver.url()).await {
            Outcome::Delivered(receipt) => assert_eq!(receipt.response.len(), 16 * 1024),
            Outcome::Failed(failure) => panic!("{failure:?}"),
        }
    }
    assert_eq!(receiver.connections(), 1);
}

#[tokio::test]
async fn a_2xx_with_a_body_that_never_ends_is_delivered_and_not_read_to_its_end() {
    let receiver = Receiver::start().await;
    receiver.answer(Answer::ok().endless(Duration::ZERO));
    assert_delivered(&deliver(&webhook(), &receiver.url()).await);
}

#[tokio::test]
async fn an_answer_that_is_not_complete_by_the_deadline_is_a_timeout() {
    for answer in [
        Answer::hang(),
        Answer::ok().after(Duration::from_mins(1)),
        Answer::ok().endless(Duration::from_millis(50)),
    ] {
        let started = Instant::now();
        let failure = failure(in_short_time(answer).await);
        assert_eq!(
            (failure.class, failure.verdict),
            (Class::Timeout, Verdict::SlowDown)
        );
        assert_eq!(failure.retry, Retry::OnSchedule);
        let elapsed = started.elapsed();
        assert!(elapsed >= SHORT && elapsed < SHORT * 20, "{elapsed:?}");
    }
}

#[tokio::test]
async fn a_receiver_that_accepts_and_never_reads_is_a_timeout() {
    let deaf = Receiver::start_deaf().await;
    let mut parcel = direct(deaf.url());
    parcel.deadline = Instant::now() + SHORT;
    assert_eq!(
        failure(webhook().deliver(&parcel).await).class,
        Class::Timeout
    );
    assert_eq!(deaf.connections(), 1);
}

#[tokio::test]
async fn garbage_a_cut_answer_and_an_early_close_are_protocol_failures() {
    for answer in [
        Answer::raw("220 smtp.example.com ESMTP\r\n"),
        Answer::raw(vec![0_u8; 1000]),
        Answer::raw("HTTP/1.1 200 OK\r\ncontent-len"),
        Answer::raw("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf of it"),
        Answer::raw("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n"),
        Answer::close(),
    ] {
        let shown = format!("{answer:?}");
        let failure = failed(answer).await;
        assert_eq!(
            (failure.class, failure.verdict),
            (Class::Protocol, Verdict::None),
            "{shown} {failure:?}"
        );
        assert_eq!(failure.retry, Retry::OnSchedule);
        assert!(!failure.detail.contains("127.0.0.1"), "{failure:?}");
    }
}

#[tokio::test]
async fn a_head_without_end_costs_bounded_memory_and_is_a_protocol_failure() {
    let head = format!("HTTP/1.1 200 OK\r\n{}", "x-y: z\r\n".repeat(1_000_000));
    assert_eq!(failed(Answer::raw(head)).await.class, Class::Protocol);
}

#[tokio::test]
async fn after_any_failure_the_next_delivery_goes_through() {
    let receiver = Receiver::start().await;
    receiver.answer_in_turn([
        Answer::close(),
        Answer::raw("nonsense"),
        Answer::status(500),
        Answer::ok(),
    ]);
    let webhook = webhook();
    for _ in 0..3 {
        failure(deliver(&webhook, &receiver.url()).await);
    }
    assert_delivered(&deliver(&webhook, &receiver.url()).await);
    assert_eq!(receiver.count(), 4);
}

#[tokio::test]
async fn nobody_listening_is_a_connect_failure_that_slows_the_endpoint() {
    // Bound and let go at once, so that nobody else is likely to have it.
    let gone = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/?token=s3cret", gone.local_addr().unwrap());
    drop(gone);
    let failure = failure(deliver(&webhook(), &url).await);
    assert_eq!(
        (failure.class, failure.verdict),
        (Class::Connect, Verdict::SlowDown)
    );
    assert!(
        failure.detail.contains("refused") && !failure.detail.contains("s3cret"),
        "{failure:?}"
    );
}
