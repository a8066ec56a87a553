//! The stream in the document. It is served by the role `realtime`, which shares no code with this one: its tests hold it to
//! what is said here.

/// Streams events as they come; by WebSocket, or as server-sent events
///
/// Where the request asks for a WebSocket, it is one: each message is an event, or has a `control`. Else the response is a
/// stream of server-sent events, for `EventSource` and `curl -N`: `id:` is the cursor, and `Last-Event-ID` resumes. Either is
/// given exactly what it missed when it comes back with its cursor. Served by processes with the role `realtime`.
#[utoipa::path(get, path = "/v1/instances/{instance}/stream", tag = "stream", security(("bearer" = [])),
    params(
        ("instance" = String, Path, description = "Its name"),
        ("events" = Option<String>, Query, description = "Only these types, separated by commas"),
        ("cursor" = Option<String>, Query, description = "Begin after the event that came with it"),
        ("last_event_id" = Option<String>, Query, description = "Begin after this event, by its id or its cursor"),
        ("since" = Option<String>, Query, description = "Begin with what was emitted at this time (RFC 3339)"),
        ("from" = Option<String>, Query, description = "`earliest`: begin with the oldest event that is kept; `now`, as without it"),
        ("consumer" = Option<String>, Query, description = "A durable consumer, by WebSocket only: it begins where it last acknowledged"),
        ("token" = Option<String>, Query, description = "The token, for browsers, which can send no header"),
        ("Last-Event-ID" = Option<String>, Header, description = "As `last_event_id`; it counts more than the query, which a browser repeats"),
    ),
    responses(
        (status = 101, description = "A WebSocket"),
        (status = 200, description = "Server-sent events", content_type = "text/event-stream", body = String),
        (status = 503, description = "There is no room, or the database is away: `Retry-After` says when to come again", body = super::problem::Problem, content_type = "application/problem+json"),
    ))]
#[expect(dead_code, reason = "it is here to be described")]
pub(super) fn open() {}
