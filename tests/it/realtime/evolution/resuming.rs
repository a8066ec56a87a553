//! Beyond the original: who asks for it goes on where it was.

use serde_json::{Value, json};

use super::super::raw::Request;
use super::super::sidecar::sidecar;
use super::super::vzaps::Server;
use super::socketio::{Client, PACKAGE};
use super::{configure, emit, global, key, outline, outlined};
use crate::support::api::ACCOUNT;
use crate::support::app::{INSTANCE, TestApp};
use crate::support::node::Node;

/// The key, and that it wants to resume.
fn options(key: &str, transport: &str) -> Value {
    json!({"query": {"apikey": key, "resume": 1}, "transports": [transport]})
}

/// What it says, up to the next event of this name.
async fn next(client: &mut Client, name: &str) -> Value {
    loop {
        let mut said = client.says().await;
        if said["name"] == name {
            return said["values"][0].take();
        }
        let beside = said.get("name").is_none() || said["name"] == "position";
        assert!(beside, "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_io_client_that_says_where_it_was_is_given_what_it_missed_while_the_server_was_killed()
 {
    let Some(node) = Node::with_or_skipped(PACKAGE).await else {
        return;
    };
    let app = TestApp::start().await;
    // Not what the process says of itself.
    configure(&app, INSTANCE, "CALL").await;
    let mut server = Server::start(&app).await;
    let key = key(&app, INSTANCE).await;
    let there = (([127, 0, 0, 1], server.port).into(), "/shop");
    let mut clients = ["websocket", "polling"]
        .map(|transport| Client::at(&node, there, &options(&key, transport)));
    for client in &mut clients {
        assert_eq!(next(client, "position").await["recovered"], true);
    }
    // Before its first event it has been told where it is.
    server.kill();
    emit(&app, INSTANCE, "call", 1).await;
    server.start_again(&app).await;
    for client in &mut clients {
        let told = next(client, "call").await;
        assert_eq!(outline(&told), outlined("call", "shop", 1));
        assert!(told["cursor"].is_string(), "{told}");
    }
    server.kill();
    emit(&app, INSTANCE, "call", 2).await;
    emit(&app, INSTANCE, "call", 3).await;
    server.start_again(&app).await;
    emit(&app, INSTANCE, "call", 4).await;
    for client in &mut clients {
        for number in 2..=4 {
            let told = next(client, "call").await;
            assert_eq!(outline(&told), outlined("call", "shop", number));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bare_socket_that_says_where_it_was_is_given_what_it_missed_while_the_server_was_killed()
{
    let app = TestApp::start().await;
    // Not what the process says of itself.
    configure(&app, INSTANCE, "CALL").await;
    let mut server = Server::start(&app).await;
    let path = format!("/?token={}", key(&app, INSTANCE).await);
    let address = ([127, 0, 0, 1], server.port).into();
    let connect = async |query: &str| {
        let (client, head) = Request::to(format!("{path}&{query}"))
            .nobody()
            .upgrade(address)
            .await;
        assert_eq!(head.status, 101, "{head:?}");
        client
    };
    let mut client = connect("resume=1").await;
    assert_eq!(client.message().await["recovered"], true);
    emit(&app, INSTANCE, "call", 1).await;
    let first = client.message().await;
    assert_eq!(outline(&first), outlined("call", "shop", 1));
    server.kill();
    client.gone().await;
    emit(&app, INSTANCE, "call", 2).await;
    server.start_again(&app).await;
    emit(&app, INSTANCE, "call", 3).await;
    let mut client = connect(&format!("cursor={}", first["cursor"].as_str().unwrap())).await;
    assert_eq!(client.message().await["recovered"], true);
    for number in [2, 3] {
        assert_eq!(
            outline(&client.message().await),
            outlined("call", "shop", number)
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn where_what_was_missed_is_gone_clients_of_both_sockets_are_told_and_go_on_from_now() {
    let Some(node) = Node::with_or_skipped(PACKAGE).await else {
        return;
    };
    let app = TestApp::start().await;
    configure(&app, INSTANCE, "").await;
    let sidecar = sidecar(&app).await;
    let key = key(&app, INSTANCE).await;
    let mut form = options(&key, "websocket");
    form["query"]["last_event_id"] = json!("evt_1_1");
    let mut client = Client::start(&node, &sidecar, "/shop", &form);
    let told = next(&mut client, "position").await;
    assert_eq!(
        (&told["recovered"], told["earliest"].is_string()),
        (&json!(false), true)
    );
    let path = format!("/?token={key}&last_event_id=evt_1_1");
    let mut bare = Request::to(path).nobody().socket(&sidecar).await;
    assert_eq!(bare.message().await["recovered"], false);
    emit(&app, INSTANCE, "call", 1).await;
    assert_eq!(
        outline(&next(&mut client, "call").await),
        outlined("call", "shop", 1)
    );
    assert_eq!(outline(&bare.message().await), outlined("call", "shop", 1));
    // What is no place is no reason to begin anywhere.
    form["query"]["cursor"] = json!("nonsense");
    let mut client = Client::start(&node, &sidecar, "/shop", &form);
    let said = client.says().await;
    assert!(
        said["refused"].as_str().unwrap().contains("cursor"),
        "{said}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn who_hears_several_instances_is_told_that_it_cannot_resume() {
    let Some(node) = Node::with_or_skipped(PACKAGE).await else {
        return;
    };
    let app = TestApp::start().await;
    let sidecar = global(&app).await;
    let mut client = Client::start(&node, &sidecar, "/", &options(ACCOUNT, "websocket"));
    let said = client.says().await;
    assert!(
        said["refused"].as_str().unwrap().contains("name one"),
        "{said}"
    );
    let path = format!("/?token={ACCOUNT}&resume=1");
    let (_, head) = Request::to(path).nobody().upgrade(sidecar.address).await;
    assert_eq!(head.status, 400);
}
