//! The requests that the documents of the four systems show, replayed with curl as they stand there.
//!
//! Each document here is a text: a line that says what is asked for, the command as it is documented, and after `=>` the status and
//! what the answer must hold. What else it holds is its own affair. A text such as `$token` stands for whatever is there the
//! first time it comes, and for the same from then on, in commands too; `$_` stands for anything.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::support::api::TestApi;
use crate::support::app::TestApp;
use crate::support::curl::Curl;

/// The key that the documents show.
const ACCOUNT: &str = "YOUR_GLOBAL_API_KEY";
/// Where the documents find the API.
const BASE: &str = "http://localhost:8080";

/// What stands for what.
type Known = BTreeMap<String, Value>;

/// One request and what it brings.
#[derive(Debug, Clone, Copy)]
struct Exchange<'a> {
    about: &'a str,
    command: &'a str,
    status: &'a str,
    body: &'a str,
}

impl<'a> Exchange<'a> {
    fn all(document: &'a str) -> impl Iterator<Item = Self> {
        document.trim().split("\n\n").map(|block| {
            let (request, answer) = block.split_once("\n=> ").expect(block);
            let (about, command) = request.split_once('\n').expect(block);
            let (status, body) = answer.split_once(['\n', ' ']).unwrap_or((answer, ""));
            Self {
                about: about.trim_start_matches("# "),
                command,
                status,
                body,
            }
        })
    }
}

/// Sends all requests of a document, one after the other.
async fn replay(document: &str, known: &[(&str, &str)], api: &TestApi) {
    let Some(curl) = Curl::here_or_skipped().await else {
        return;
    };
    let home = tempfile::tempdir().unwrap();
    let habits = "silent\nshow-error\nnoproxy = \"*\"\nwrite-out = \"\\n%{http_code}\"\n";
    std::fs::write(home.path().join(".curlrc"), habits).unwrap();
    let known = known
        .iter()
        .map(|(name, text)| ((*name).to_owned(), Value::from(*text)));
    let mut known: Known = known.collect();
    for exchange in Exchange::all(document) {
        let here = format!("http://{}", api.address);
        let mut command = exchange.command.replace(BASE, &here);
        // The longest first: one name may begin with another.
        for (name, value) in known.iter().rev() {
            command = command.replace(&format!("${name}"), value.as_str().unwrap_or_default());
        }
        let mut shell = curl.prepared("sh");
        shell.env("CURL_HOME", home.path()).args(["-c", &command]);
        let output = shell.output().await.unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let (body, status) = text.rsplit_once('\n').unwrap_or_default();
        assert_eq!(
            status, exchange.status,
            "{}: {command}\n{text}",
            exchange.about
        );
        if !exchange.body.is_empty() {
            let expected = serde_json::from_str(exchange.body).expect(exchange.body);
            let got = serde_json::from_str(body).expect(body);
            if let Err(place) = holds(&got, &expected, &mut known) {
                panic!(
                    "{}: {place} is not as expected\n{command}\n{body}",
                    exchange.about
                );
            }
        }
    }
}

/// Whether an answer holds what is expected; else the place where it does not.
fn holds(got: &Value, expected: &Value, known: &mut Known) -> Result<(), String> {
    match (got, expected) {
        (_, Value::String(name)) if name.starts_with('$') => match known.get(&name[1..]) {
            _ if name == "$_" => Ok(()),
            Some(value) if value == got => Ok(()),
            Some(value) => Err(format!(": {got} in place of {value}")),
            None => {
                known.insert(name[1..].to_owned(), got.clone());
                Ok(())
            }
        },
        (Value::Object(got), Value::Object(expected)) => {
            expected.iter().try_for_each(|(key, value)| {
                let found = got.get(key).ok_or_else(|| format!(".{key}: missing"))?;
                holds(found, value, known).map_err(|place| format!(".{key}{place}"))
            })
        }
        (Value::Array(got), Value::Array(expected)) if got.len() == expected.len() => {
            let mut pairs = got.iter().zip(expected).enumerate();
            pairs.try_for_each(|(index, (got, expected))| {
                holds(got, expected, known).map_err(|place| format!("[{index}]{place}"))
            })
        }
        _ if got == expected => Ok(()),
        _ => Err(format!(": {got} in place of {expected}")),
    }
}

/// The APIs, with the key that the documents show.
async fn start(app: &TestApp) -> TestApi {
    let api = app.api().set("api.account_token", format!("'{ACCOUNT}'"));
    api.start().await
}

#[tokio::test]
async fn the_requests_that_ryzeapi_documents_get_the_documented_answers() {
    let app = TestApp::start().await;
    replay(include_str!("ryze.txt"), &[], &start(&app).await).await;
}

#[tokio::test]
async fn the_requests_that_evolution_api_documents_get_the_documented_answers() {
    let app = TestApp::start().await;
    replay(include_str!("evolution.txt"), &[], &start(&app).await).await;
}

#[tokio::test]
async fn the_requests_that_codechat_documents_get_the_documented_answers() {
    let app = TestApp::start().await;
    replay(include_str!("codechat.txt"), &[], &start(&app).await).await;
}

#[tokio::test]
async fn the_requests_that_vzaps_documents_get_the_documented_answers() {
    let app = TestApp::start().await;
    let secret = "the-client-secret-of-the-tests";
    super::vzaps::credentials(&app, "default", "vz_client", secret).await;
    let known = [("secret", secret)];
    replay(include_str!("vzaps.txt"), &known, &start(&app).await).await;
}
