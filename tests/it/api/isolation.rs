//! An account can never read, change or infer what another has: route by route, out of the OpenAPI document, so that a new
//! route cannot be forgotten.
//!
//! The owner's things carry a mark. A stranger with good tokens of their own asks for each of them, by path, query and body;
//! the answer must be the one for a thing that does not exist, must not carry the mark, and must change nothing.

use serde_json::{Value, json};

use crate::support::api::{ACCOUNT, Answered, Call, TestApi};
use crate::support::app::TestApp;
use crate::support::document::{Operation, document, fields, operations, sample};

/// Stands in everything the owner has.
const MARK: &str = "ownersmark";

/// Names of things: the owner's, or such as nobody has.
struct Things {
    instance: String,
    instance_uid: String,
    vzaps_id: String,
    endpoint: i64,
    endpoint_uid: String,
    delivery: i64,
    pending: i64,
    /// The operators' too, though for an instance of the stranger's: of the global webhook, a dead letter and a pending one.
    global: [i64; 2],
    event: String,
    token: String,
    account: String,
    connection: i64,
    label: String,
}

impl Things {
    /// What nobody has.
    fn of_nobody() -> Self {
        Self {
            instance: "nobodys".into(),
            instance_uid: "00000000-0000-4000-8000-000000000000".into(),
            vzaps_id: "VZ00000000000000000000".into(),
            endpoint: 987_654_321,
            endpoint_uid: "00000000-0000-4000-8000-000000000001".into(),
            delivery: 987_654_322,
            pending: 987_654_324,
            global: [987_654_325, 987_654_326],
            event: "evt_987654323_1a2b3c4d".into(),
            token: "2b1f7c9e-5d3a-4e68-9f04-a1c8e7b36d52".into(),
            account: "00000000-0000-4000-8000-000000000003".into(),
            connection: 987_654_324,
            label: "nobodys".into(),
        }
    }

    /// What may stand for a parameter. None: it names nothing of anybody's.
    fn names(&self, parameter: &str) -> Option<Vec<Value>> {
        let instance = || {
            vec![
                json!(self.instance),
                json!(self.instance_uid),
                json!(self.vzaps_id),
            ]
        };
        Some(match parameter {
            "instance" | "instanceName" | "instanceId" | "instance_id" | "id" | "instance_name"
            | "name" => instance(),
            "endpoint" => vec![json!(self.endpoint)],
            "webhookId" => vec![json!(self.endpoint_uid), json!(self.endpoint)],
            "delivery" | "logId" | "log_id" => {
                let global = self.global.map(|id| json!(id));
                let own = [json!(self.delivery), json!(self.pending)];
                own.into_iter().chain(global).collect()
            }
            "ids" => vec![json!([self.delivery]), json!(self.global)],
            "event" => vec![json!(self.event)],
            "token" => vec![json!(self.token)],
            "account" => vec![json!(self.account)],
            "connection" => vec![json!(self.connection)],
            "label" => vec![json!(self.label)],
            _ => return None,
        })
    }

    /// A text without any of these names.
    fn removed_from(&self, text: &str) -> String {
        let names = [
            &self.instance,
            &self.instance_uid,
            &self.vzaps_id,
            &self.endpoint_uid,
            &self.event,
            &self.token,
            &self.account,
            &self.label,
            &self.endpoint.to_string(),
            &self.delivery.to_string(),
            &self.pending.to_string(),
            &self.global[0].to_string(),
            &self.global[1].to_string(),
            &self.connection.to_string(),
        ];
        names.iter().fold(text.to_owned(), |text, name| {
            text.replace(name.as_str(), "*")
        })
    }
}

/// Makes everything the owner has.
async fn fill(app: &TestApp) -> Things {
    let (instance, label) = (format!("{MARK}-instance"), format!("{MARK}-label"));
    app.instance(&instance).await;
    app.sql(&format!(
        "select setval('postrider.endpoints_id_seq', 712345), setval('postrider.webhook_queue_id_seq', 812345), setval('postrider.events_id_seq', 912345);
         select postrider.set_endpoint('{instance}', 'https://{MARK}.example/', label => '{label}', authorization_header => 'Bearer {MARK}');
         select postrider.set_endpoint('{instance}', 'https://{MARK}.example/r', label => '{label}', dialect => 'ryze');
         select postrider.set_endpoint('{instance}', 'https://{MARK}.example/e', label => 'default', dialect => 'evolution');
         select postrider.set_endpoint('{instance}', 'https://{MARK}.example/c', label => '{label}', dialect => 'codechat');
         select postrider.set_endpoint('{instance}', 'https://{MARK}.example/v', label => 'default', dialect => 'vzaps');
         select postrider.set_endpoint('{instance}', '', dialect => 'ryze', channel => 'websocket');
         select postrider.emit('{instance}', '{MARK}', '{{\"a\": \"{MARK}\"}}'::text);
         update postrider.webhook_queue set status = 'failed', last_error = '{MARK}' where id = (select max(id) from postrider.webhook_queue);
         select setval('postrider.sockets_id_seq', 612345);
         insert into postrider.realtime_processes values ('{MARK}', now() + interval '1 hour');
         insert into postrider.sockets (sidecar, number, account_id, instance_id, door, address, token, connected_at)
           select '{MARK}', 1, account_id, id, '{MARK}', '{MARK}', '{MARK}', now() from postrider.instances where name = '{instance}';
         insert into postrider.tokens (account_id, label, digest) values (1, '{MARK}', sha256('{MARK}'))"
    ))
    .await;
    let value = async |what: &str| app.value::<String>(what).await;
    let delivery = app
        .value("select max(id) from postrider.webhook_queue")
        .await;
    let pending = app
        .value("select min(id) from postrider.webhook_queue where status = 'pending'")
        .await;
    Things {
        instance_uid: value(&format!(
            "select uid::text from postrider.instances where name = '{instance}'"
        ))
        .await,
        vzaps_id: value(&format!(
            "select vzaps_id from postrider.instances where name = '{instance}'"
        ))
        .await,
        endpoint: app.value("select min(id) from postrider.endpoints").await,
        endpoint_uid: value("select uid::text from postrider.endpoints where dialect = 'codechat'")
            .await,
        event: value("select postrider.event_id(id, nonce) from postrider.events limit 1").await,
        token: value("select uid::text from postrider.tokens where account_id = 1").await,
        account: value("select uid::text from postrider.accounts where id = 1").await,
        connection: app.value("select id from postrider.sockets").await,
        // Until a stranger has a part of it, it is like any other.
        global: [delivery, pending],
        delivery,
        pending,
        label,
        instance,
    }
}

/// The operators switch the global webhook on, and it gets what happens to the stranger's instance.
async fn listen_everywhere(app: &TestApp, things: &mut Things) {
    app.sql(&format!(
        "select postrider.set_global_webhook('https://{MARK}.example/everything', '{{call}}');
         select postrider.emit('stranger/strangers', 'call', '{{}}'), postrider.emit('stranger/strangers', 'call', '{{}}');
         update postrider.webhook_queue set status = 'failed', last_error = '{MARK}'
         where id = (select max(id) from postrider.webhook_queue where instance_name = 'stranger/strangers')"
    ))
    .await;
    for (status, id) in ["failed", "pending"].into_iter().zip(&mut things.global) {
        let found = format!(
            "select id from postrider.webhook_queue where instance_name = 'stranger/strangers' and status = '{status}'"
        );
        *id = app.value(&found).await;
    }
}

/// Everything the owner has, as one text.
async fn owned(app: &TestApp) -> String {
    app.value(
        "select concat((select string_agg(i::text, chr(10) order by id) from postrider.instances i where account_id = 1)
           , (select string_agg(e::text, chr(10) order by e.id) from postrider.endpoints e join postrider.instances i on i.id = e.instance_id where i.account_id = 1)
           , (select string_agg(s::text, chr(10) order by id) from postrider.signing_secrets s)
           , (select string_agg(t::text, chr(10) order by id) from postrider.tokens t where account_id = 1)
           , (select string_agg(a::text, chr(10) order by id) from postrider.accounts a where id = 1)
           , (select string_agg(v::text, chr(10) order by v.id) from postrider.events v join postrider.instances i on i.id = v.instance_id where i.account_id = 1)
           , (select string_agg(c::text, chr(10) order by id) from postrider.sockets c)
           , (select string_agg(q::text, chr(10) order by id) from postrider.webhook_queue q where instance_name like 'ownersmark%' or url like '%ownersmark%'))",
    )
    .await
}

/// A request with a token in every place a dialect may look for one.
fn with(call: Call, token: &str) -> Call {
    call.bearer(token)
        .header("apikey", token)
        .header("token", token)
}

/// The stranger's account: its tokens, of the whole account and of its one instance.
async fn stranger(api: &TestApi) -> [String; 2] {
    let post = async |path: &str, token: &str, body: Value| {
        let made = api.post(path).bearer(token).json(&body).send().await;
        assert_eq!(made.status, 201, "{made:?}");
        made.json()
    };
    let account = post("/v1/accounts", ACCOUNT, json!({"name": "stranger"})).await;
    let token = post("/v1/tokens", ACCOUNT, json!({"account": account["id"]})).await;
    let token = token["token"].as_str().unwrap().to_owned();
    let instance = post("/v1/instances", &token, json!({"name": "strangers"})).await;
    [token, instance["token"].as_str().unwrap().to_owned()]
}

/// The path of an operation, with these things in its braces; once for each way to name them.
fn paths(operation: &Operation, things: &Things) -> Vec<String> {
    let mut paths = vec![operation.path.clone()];
    for parameter in &operation.path_parameters {
        let Some(names) = things.names(parameter) else {
            panic!(
                "{} {}: teach Things what {{{parameter}}} stands for",
                operation.method, operation.path
            );
        };
        paths = paths
            .iter()
            .flat_map(|path| {
                let names = names.iter().map(|name| {
                    name.as_str()
                        .map_or_else(|| name.to_string(), str::to_owned)
                });
                names
                    .map(|name| path.replace(&format!("{{{parameter}}}"), &name))
                    .collect::<Vec<_>>()
            })
            .collect();
    }
    paths
}

/// Every way to ask for these things by an operation: path, query and body.
fn requests(
    document: &Value,
    operation: &Operation,
    things: &Things,
) -> Vec<(String, Option<Value>)> {
    let body = operation
        .body
        .as_ref()
        .map(|schema| asking(document, schema));
    let mut requests: Vec<_> = paths(operation, things)
        .into_iter()
        .map(|path| (path, body.clone()))
        .collect();
    let first = requests[0].0.clone();
    for parameter in &operation.query_parameters {
        for name in things.names(parameter).into_iter().flatten() {
            let name = name
                .as_str()
                .map_or_else(|| name.to_string(), str::to_owned);
            requests.push((format!("{first}?{parameter}={name}"), body.clone()));
        }
    }
    for (field, _) in operation
        .body
        .iter()
        .flat_map(|schema| fields(document, schema))
    {
        for name in things.names(&field).into_iter().flatten() {
            let mut body = body.clone().unwrap();
            body[&field] = name;
            requests.push((first.clone(), Some(body)));
        }
    }
    requests
}

/// A body with all that is required, and with a URL wherever one may stand: many routes ask for one that is on.
fn asking(document: &Value, schema: &Value) -> Value {
    let mut body = sample(document, schema);
    for (field, kind) in fields(document, schema) {
        if kind["format"] == "uri" {
            body[&field] = sample(document, &kind);
        }
    }
    body
}

/// Asks.
async fn ask(
    api: &TestApi,
    operation: &Operation,
    token: &str,
    request: &(String, Option<Value>),
) -> Answered {
    let call = with(api.call(operation.method.clone(), &request.0), token);
    match &request.1 {
        Some(body) => call.json(body).send().await,
        None => call.send().await,
    }
}

#[tokio::test]
async fn a_stranger_gets_nothing_changes_nothing_and_learns_nothing_on_any_route() {
    let app = TestApp::start().await;
    let api = app.api().start().await;
    let document = document();
    let (mut owners, nobodys) = (fill(&app).await, Things::of_nobody());
    let tokens = stranger(&api).await;
    listen_everywhere(&app, &mut owners).await;
    let before = owned(&app).await;
    for operation in operations(&document)
        .iter()
        .filter(|operation| operation.asks_for_token)
    {
        let pairs = requests(&document, operation, &owners)
            .into_iter()
            .zip(requests(&document, operation, &nobodys));
        for (theirs, nothing) in pairs {
            for token in &tokens {
                let got = ask(&api, operation, token, &theirs).await;
                forget(&app).await;
                let expected = ask(&api, operation, token, &nothing).await;
                let what = format!(
                    "{} {} {:?}: {} {}",
                    operation.method, theirs.0, theirs.1, got.status, got.text
                );
                assert_ne!(got.status, 500, "{what}");
                let named = !operation.path_parameters.is_empty();
                assert!(!named || got.status >= 400, "{what}");
                assert!(
                    !owners.removed_from(&got.text).contains(MARK),
                    "the answer tells what is the owner's: {what}"
                );
                // A request that names nothing is only made twice.
                if theirs != nothing {
                    assert_eq!(
                        plain(&owners, &got),
                        plain(&nobodys, &expected),
                        "it tells that there is one: {what}"
                    );
                }
                assert_eq!(
                    owned(&app).await,
                    before,
                    "it changed what is the owner's: {what}"
                );
                forget(&app).await;
            }
        }
    }
}

/// An answer without what differs anyway: the names that were asked for, ids and times.
fn plain(things: &Things, answer: &Answered) -> (u16, String) {
    // What makes something of one's own (an instance, a token) answers with ids of its own.
    if answer.status < 300 {
        return (answer.status, String::new());
    }
    let text = things.removed_from(&answer.text);
    let text = match serde_json::from_str::<Value>(&text) {
        Ok(mut body) => {
            if let Some(fields) = body.as_object_mut() {
                fields.remove("request_id");
            }
            body.to_string()
        }
        Err(_) => text,
    };
    (answer.status, text)
}

/// Nobody is to be turned away for coming too often; and what the stranger made, perhaps under a name of the owner's, is not to
/// be found by what comes next.
async fn forget(app: &TestApp) {
    app.sql(
        "delete from postrider.request_counts;
         select postrider.delete_instance(name) from postrider.instances where account_id <> 1 and called <> 'strangers'",
    )
    .await;
}

#[tokio::test]
async fn what_the_stranger_is_refused_succeeds_for_the_owner() {
    let app = TestApp::start().await;
    let api = app.api().start().await;
    let document = document();
    let mut vain = Vec::new();
    for operation in operations(&document) {
        // The operators' own account stays.
        let stays = operation.method == "DELETE" && operation.path == "/v1/accounts/{account}";
        if operation.path_parameters.is_empty() || stays {
            continue;
        }
        let owners = fill(&app).await;
        let mut statuses = Vec::new();
        for request in requests(&document, &operation, &owners) {
            statuses.push(ask(&api, &operation, ACCOUNT, &request).await.status);
        }
        if !statuses.iter().any(|status| *status < 300) {
            vain.push(format!(
                "{} {}: {statuses:?}",
                operation.method, operation.path
            ));
        }
        app.sql(&format!(
            "select postrider.delete_instance('{}'); delete from postrider.tokens; delete from postrider.request_counts; delete from postrider.webhook_queue; delete from postrider.events;
             delete from postrider.sockets; delete from postrider.realtime_processes",
            owners.instance
        ))
        .await;
    }
    assert!(
        vain.is_empty(),
        "requests that succeed for nobody show nothing: {vain:#?}"
    );
}

#[tokio::test]
async fn accounts_name_their_instances_without_learning_of_one_another() {
    let app = TestApp::start().await;
    let api = app.api().start().await;
    let [token, _] = stranger(&api).await;
    let create = async |path: &str, body: Value| {
        let call = api.call(
            if path.starts_with("/instances") {
                reqwest::Method::PUT
            } else {
                reqwest::Method::POST
            },
            path,
        );
        with(call, &token).json(&body).send().await.status
    };
    // "shop" is the operator's; each way of making one, and each of its names, is as free as any other.
    for (path, body) in [
        ("/v1/instances", json!({"name": "shop"})),
        ("/api/instance/new", json!({"name": "shop"})),
        (
            "/instance/create",
            json!({"instanceName": "shop", "integration": "WHATSAPP-BAILEYS"}),
        ),
        ("/instances/create", json!({"name": "shop"})),
    ] {
        assert!(create(path, body.clone()).await < 300, "{path}");
        assert!(
            [403, 409].contains(&create(path, body).await),
            "{path}: one's own name is taken"
        );
        app.sql("select postrider.emit('shop', 'theirs', '{}'); select postrider.emit('stranger/shop', 'ones.own', '{}')")
            .await;
        let listed = api
            .get("/v1/instances/shop/events")
            .bearer(&token)
            .send()
            .await
            .json();
        let types: Vec<_> = listed["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|event| event["type"].clone())
            .collect();
        assert!(
            types.contains(&json!("ones.own")) && !types.contains(&json!("theirs")),
            "{listed}"
        );
        app.sql("select postrider.delete_instance('stranger/shop')")
            .await;
    }
    let made: bool = app
        .value("select exists (select from postrider.instances where name = 'shop' and account_id = 1)")
        .await;
    assert!(made);
}

#[tokio::test]
async fn no_two_ways_lead_to_one_name() {
    let app = TestApp::start().await;
    let api = app.api().start().await;
    let [token, _] = stranger(&api).await;
    let post =
        async |path: &str, body: Value| api.post(path).bearer(ACCOUNT).json(&body).send().await;
    let status = async |path: &str, body: Value| post(path, body).await.status;
    assert_eq!(status("/v1/accounts", json!({"name": "a/b"})).await, 422);
    assert_eq!(
        status("/v1/instances", json!({"name": "stranger/x"})).await,
        422
    );
    assert_eq!(
        status("/v1/instances", json!({"name": "later/x"})).await,
        201
    );
    for (name, cause) in [
        (
            "later",
            "an instance of the account \"default\" is called 'later/' and more",
        ),
        ("stranger", "there is an account \"stranger\" already"),
    ] {
        let refused = post("/v1/accounts", json!({"name": name})).await;
        assert_eq!(refused.status, 409, "{refused:?}");
        let detail = refused.json()["detail"].clone();
        assert!(detail.as_str().unwrap().starts_with(cause), "{detail}");
    }
    app.sql("select postrider.create_instance('stranger/y')")
        .await;
    let own = api.get("/v1/instances/y").bearer(&token).send().await;
    assert_eq!(own.status, 200, "in SQL it is made for the account");
}

#[tokio::test]
async fn no_route_does_anything_without_a_good_token() {
    let app = TestApp::start().await;
    let api = app.api().start().await;
    let document = document();
    let owners = fill(&app).await;
    let before = owned(&app).await;
    let mut open = Vec::new();
    for operation in operations(&document) {
        if !operation.asks_for_token {
            open.push(format!("{} {}", operation.method, operation.path));
            continue;
        }
        for request in requests(&document, &operation, &owners) {
            let bare = api.call(operation.method.clone(), &request.0);
            let bare = match &request.1 {
                Some(body) => bare.json(body).send().await,
                None => bare.send().await,
            };
            let wrong = ask(&api, &operation, "a-token-that-nobody-has", &request).await;
            for answer in [bare, wrong] {
                assert_eq!(
                    answer.status, 401,
                    "{} {}: {}",
                    operation.method, request.0, answer.text
                );
                assert!(
                    !owners.removed_from(&answer.text).contains(MARK),
                    "{}",
                    answer.text
                );
            }
            assert_eq!(
                owned(&app).await,
                before,
                "{} {}",
                operation.method,
                request.0
            );
        }
    }
    open.sort();
    assert_eq!(
        open, OPEN,
        "a route that asks for no token is named here, or it is a mistake"
    );
}

/// Routes that everybody may ask.
const OPEN: [&str; 1] = ["POST /token"];

#[tokio::test]
async fn whoever_takes_the_name_of_an_instance_that_is_gone_gets_nothing_it_had() {
    let app = TestApp::start().await;
    let api = app.api().start().await;
    let owners = fill(&app).await;
    let [token, _] = stranger(&api).await;
    app.sql(&format!(
        "select postrider.delete_instance('{}')",
        owners.instance
    ))
    .await;
    let made_anew = api
        .post("/v1/instances")
        .bearer(&token)
        .json(&json!({"name": owners.instance}))
        .send()
        .await;
    assert_eq!(made_anew.status, 201, "{made_anew:?}");
    for path in ["/v1/deliveries", "/v1/dead-letters", "/v1/endpoints"] {
        let listed = api.get(path).bearer(&token).send().await;
        assert_eq!(
            (listed.status, &listed.json()["items"]),
            (200, &json!([])),
            "{path}"
        );
    }
    let path = format!("/v1/deliveries/{}", owners.delivery);
    assert_eq!(api.get(&path).bearer(&token).send().await.status, 404);
    let purged = api
        .post("/v1/dead-letters/purge")
        .bearer(&token)
        .json(&json!({"all": true}))
        .send()
        .await;
    assert_eq!(purged.json(), json!({"purged": 0}));
}
