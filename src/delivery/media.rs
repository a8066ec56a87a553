//! Before the envelope: what an event gives by URL alone is put in as base64, for endpoints that asked for it in so many words.

use bytes::Bytes;
use tokio::time::Instant;

use super::dispatch::Job;
use crate::channels::{Media, MediaClient};
use crate::model::{Destination, absent_media, with_media};

/// What came of it.
#[derive(Debug, Default)]
pub(super) struct Embedded {
    /// What the attempt log is to say.
    pub(super) note: Option<String>,
    /// The content, which takes room until the attempt has ended.
    held: Vec<Media>,
}

/// Whether the endpoint of a job asked for media.
pub(super) fn is_wanted(job: &Job) -> bool {
    matches!(&job.to, Destination::Endpoint(endpoint) if endpoint.fetches_media)
}

/// Puts the media of a job's event into its payload, taking no longer than an attempt may. What cannot be fetched stays a URL.
pub(super) async fn embed(client: &MediaClient, job: &mut Job) -> Embedded {
    let deadline = Instant::now() + job.timeout;
    let absent = absent_media(&job.delivery.payload);
    let mut embedded = Embedded::default();
    let mut contents = Vec::new();
    let mut notes = Vec::new();
    for media in &absent {
        match client.fetch(&media.url, deadline).await {
            Ok(mut fetched) => {
                contents.push((media, std::mem::take(&mut fetched.base64)));
                embedded.held.push(fetched);
            }
            Err(problem) => notes.push(problem.to_string()),
        }
    }
    if !contents.is_empty() {
        job.delivery.payload = Bytes::from(with_media(&job.delivery.payload, &contents));
    }
    embedded.note = (!notes.is_empty()).then(|| notes.join("; "));
    embedded
}
