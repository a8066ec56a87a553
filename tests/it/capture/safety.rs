//! Who may do what, and as whom it runs.

use super::{Ground, run, value};

/// A database with roles of its own: the owner of tables, a writer without any other right, and a stranger.
struct Roles {
    ground: Ground,
    owner: String,
    writer: String,
    stranger: String,
}

/// The roles, with a table of the owner's that the writer may write.
async fn roles() -> Roles {
    let mut ground = Ground::new("").await;
    let oid = ground
        .value("select oid from pg_database where datname = current_database()")
        .await;
    let [owner, writer, stranger] =
        ["owner", "writer", "stranger"].map(|role| format!("{role}_{oid}"));
    let database = ground.value("select current_database()").await;
    ground
        .run(&format!(
            "create role {owner}; create role {writer}; create role {stranger};
             create schema app authorization {owner}; grant usage on schema app to public;
             grant create on database {database} to {stranger};
             set role {owner};
             create table app.orders (id int, account text default 'shop');
             grant insert, select, update, delete on app.orders to {writer};
             reset role;
             select postrider.allow('{owner}', 'capture')",
        ))
        .await;
    Roles {
        ground,
        owner,
        writer,
        stranger,
    }
}

/// Attaches to the owner's table.
const CAPTURE: &str =
    "select postrider.capture('app.orders', type => 'order.made', instance => 'new.account'
    , data => 'json_build_object(''as'', current_user, ''by'', session_user)', on_error => 'skip')";

#[tokio::test]
async fn any_role_that_may_write_the_table_fires_it_without_rights_of_its_own() {
    let mut roles = roles().await;
    let mut owner = roles.ground.session_of(&roles.owner).await;
    run(&mut owner, CAPTURE).await.unwrap();
    let mut writer = roles.ground.session_of(&roles.writer).await;
    run(
        &mut writer,
        "insert into app.orders values (1); insert into app.orders values (2, 'shop'), (3, 'nobody')",
    )
    .await
    .unwrap();
    let data = roles.ground.data().await;
    assert_eq!(data.len(), 2);
    assert_eq!(data[0]["as"], roles.owner);
    assert_eq!(data[0]["by"], roles.writer);
    for forbidden in [
        "select postrider.emit('shop', 'a', '{}')",
        "select * from postrider.captures",
        "select postrider.uncapture('app.orders')",
    ] {
        assert!(run(&mut writer, forbidden).await.is_err(), "{forbidden}");
    }
}

#[tokio::test]
async fn a_superusers_capture_of_anothers_table_runs_as_its_owner() {
    let mut roles = roles().await;
    roles.ground.run(CAPTURE).await;
    assert_ne!(roles.ground.value("select current_user").await, roles.owner);
    roles.ground.run("insert into app.orders values (1)").await;
    assert_eq!(roles.ground.data().await[0]["as"], roles.owner);
    let owners = roles
        .ground
        .value("select string_agg(distinct proowner::regrole::text, ',') from pg_proc where pronamespace in (select oid from pg_namespace where nspname like 'postrider_captures_%')")
        .await;
    assert_eq!(owners, roles.owner);
}

#[tokio::test]
async fn only_the_owner_and_those_who_may_be_the_owner_capture_a_table() {
    let mut roles = roles().await;
    roles
        .ground
        .run(&format!(
            "select postrider.allow('{stranger}', 'capture'); grant all on app.orders to {stranger}",
            stranger = roles.stranger
        ))
        .await;
    let mut stranger = roles.ground.session_of(&roles.stranger).await;
    let error = run(&mut stranger, CAPTURE).await.unwrap_err().to_string();
    assert!(error.contains("belongs to"), "{error}");
    roles
        .ground
        .run(&format!("grant {} to {}", roles.owner, roles.stranger))
        .await;
    run(&mut stranger, CAPTURE).await.unwrap();
    assert_eq!(
        value(&mut stranger, "select current_user").await,
        roles.stranger
    );
}

#[tokio::test]
async fn a_role_that_was_not_allowed_is_told_what_to_ask_for() {
    let mut roles = roles().await;
    let stranger = roles.stranger.clone();
    roles
        .ground
        .run(&format!(
            "create table theirs (id int); alter table theirs owner to {stranger}"
        ))
        .await;
    let refusal = roles
        .ground
        .refused("select postrider.capture('theirs', type => 't', instance => '''shop''')")
        .await;
    assert!(
        refusal
            .hint
            .contains(&format!("postrider.allow('{stranger}', 'capture')")),
        "{refusal:?}"
    );
}

#[tokio::test]
async fn what_a_writer_puts_in_his_search_path_or_temporary_schema_is_not_called() {
    let mut roles = roles().await;
    let database = roles.ground.value("select current_database()").await;
    roles
        .ground
        .run(&format!(
            "set role {owner};
             create function app.label(text) returns text language plpgsql as $$ begin return lower($1) || coalesce(upper(nullif($1, '')), ''); end $$;
             reset role; create schema evil authorization {writer}; grant usage on schema evil to public; grant temporary on database {database} to {writer}",
            owner = roles.owner,
            writer = roles.writer,
        ))
        .await;
    let mut owner = roles.ground.session_of(&roles.owner).await;
    run(
        &mut owner,
        "select postrider.capture('app.orders', type => 'order.made', instance => 'new.account', when_ => 'app.label(new.account) = ''shopSHOP''')",
    )
    .await
    .unwrap();
    let mut writer = roles.ground.session_of(&roles.writer).await;
    run(
        &mut writer,
        "create function evil.lower(text) returns text language plpgsql as $$ begin raise exception 'hijacked'; end $$;
         create function evil.upper(text) returns text language plpgsql as $$ begin raise exception 'hijacked'; end $$;
         create function evil.same(text, text) returns boolean language plpgsql as $$ begin raise exception 'hijacked'; end $$;
         create operator evil.= (function = evil.same, leftarg = text, rightarg = text);
         create operator evil.|| (function = evil.same, leftarg = text, rightarg = text);
         create temporary table new_rows (id int, account text); create temporary table pg_type (id int);
         create function pg_temp.array_agg(text) returns text[] language plpgsql as $$ begin raise exception 'hijacked'; end $$;
         set search_path = evil, pg_temp, pg_catalog, app;
         insert into app.orders values (1); insert into app.orders values (1), (2)",
    )
    .await
    .unwrap();
    assert_eq!(roles.ground.data().await.len(), 3);
}

#[tokio::test]
async fn a_schema_where_everyone_may_create_is_not_searched_for_names_in_expressions() {
    let mut ground = Ground::new(
        "grant create on schema public to public;
         create table orders (id int, account text);
         create function public.planted(text) returns text language sql return $1",
    )
    .await;
    let refusal = ground
        .refused(
            "select postrider.capture('orders', type => 't', instance => 'planted(new.account)')",
        )
        .await;
    assert!(refusal.hint.contains("with its schema"), "{refusal:?}");
    ground
        .run("select postrider.capture('orders', type => 't', instance => 'public.planted(new.account)'); revoke create on schema public from public")
        .await;
    ground
        .run("select postrider.capture('orders', type => 't', instance => 'planted(new.account)')")
        .await;
}

#[tokio::test]
async fn nobody_else_can_attach_or_call_the_functions_of_a_capture() {
    let mut roles = roles().await;
    roles.ground.run(CAPTURE).await;
    let home = format!("postrider_captures_{}", roles.owner);
    let trigger_function = roles
        .ground
        .value("select function_oid::regproc from postrider.capture_triggers")
        .await;
    roles
        .ground
        .run(&format!(
            "grant usage on schema {home} to {stranger}; grant create on schema public to {stranger}",
            stranger = roles.stranger
        ))
        .await;
    let mut stranger = roles.ground.session_of(&roles.stranger).await;
    run(
        &mut stranger,
        "create table public.mine (id int, account text)",
    )
    .await
    .unwrap();
    let error = run(
        &mut stranger,
        &format!("create trigger t after insert on public.mine referencing new table as new_rows for each statement execute function {trigger_function}()"),
    )
    .await
    .unwrap_err()
    .to_string();
    assert!(error.contains("permission denied for function"), "{error}");
    let planted = format!("create function {home}.x() returns int language sql return 1");
    let error = run(&mut stranger, &planted).await.unwrap_err().to_string();
    assert!(error.contains("permission denied for schema"), "{error}");
}

#[tokio::test]
async fn a_schema_that_somebody_else_prepared_is_not_used() {
    let mut roles = roles().await;
    let home = format!("postrider_captures_{}", roles.owner);
    roles.ground.run(&format!("drop schema {home}")).await;
    let mut stranger = roles.ground.session_of(&roles.stranger).await;
    run(
        &mut stranger,
        &format!(
            "create schema {home}; grant usage, create on schema {home} to {}",
            roles.owner
        ),
    )
    .await
    .unwrap();
    let refusal = roles.ground.refused(CAPTURE).await;
    assert!(refusal.message.contains("is open to"), "{refusal:?}");
}

#[tokio::test]
async fn an_attackers_expression_gains_nothing() {
    let roles = roles().await;
    let owner = roles.owner.clone();
    let mut attacker = roles.ground.session_of(&owner).await;
    let seal = "(select secret from postrider.capture_seal)";
    // What he may not read, his expression may not read: neither when it is compiled nor when it runs.
    let attempts = [
        format!("select postrider.capture('app.orders', type => 't', instance => '{seal}')"),
        "select postrider.capture('app.orders', type => 't', instance => '''shop'')); alter role current_user superuser; select (('')".to_owned(),
        "select postrider.record_capture_failure('x', 1, 'x', 'x', 'x', '{}'); select postrider.create_capture_schema('pg_monitor')".to_owned(),
    ];
    for attempt in attempts {
        if run(&mut attacker, &attempt).await.is_ok() {
            let error = run(&mut attacker, "insert into app.orders values (1)").await;
            assert!(error.is_err(), "{attempt}");
        }
    }
    let superuser = value(
        &mut attacker,
        "select rolsuper from pg_roles where rolname = current_user",
    )
    .await;
    assert_eq!(superuser, "false");
}

#[tokio::test]
async fn a_row_that_a_policy_hides_is_not_shown_among_the_failures_of_a_capture() {
    let Roles {
        mut ground,
        owner,
        writer,
        ..
    } = roles().await;
    ground
        .run(&format!(
            "set role {owner};
             select postrider.capture('app.orders', type => 'order.made', instance => 'new.account', on_error => 'skip', data => 'json_build_object(''n'', 1 / new.id)');
             insert into app.orders values (0, 'secret');
             reset role; grant usage on schema postrider to {writer}; grant select on postrider.capture_failures to {writer}"
        ))
        .await;
    let seen = async |ground: &mut Ground| {
        ground.run(&format!("set role {writer}")).await;
        let count = ground
            .value("select count(*) from postrider.capture_failures")
            .await;
        ground.run("reset role").await;
        count
    };
    assert_eq!(seen(&mut ground).await, "1");
    ground
        .run("alter table app.orders enable row level security")
        .await;
    assert_eq!(seen(&mut ground).await, "0");
}
