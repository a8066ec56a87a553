//! Nothing is lost and nothing is left, however it ends.

use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use postrider::db::embedded::Cluster;

use super::program::Program;
use super::{assert_ends, assert_row_kept, data_dir, options_in, write_row};
use crate::support::postgres::OwnCluster;

/// No wrapper around the program.
const DIRECTLY: [&str; 0] = [];

#[tokio::test]
async fn the_server_ends_when_we_are_killed_and_the_next_start_has_everything() {
    let data_dir = data_dir("we-are-killed");
    let cluster = Cluster::start(options_in(&data_dir)).await.unwrap();
    write_row(&cluster).await;
    cluster.stop().await;

    let mut program = Program::start(Some(&data_dir), &DIRECTLY, None);
    let (server, _) = program.started();
    program.kill();
    assert_ends(server).await;

    assert_row_kept(&Cluster::start(options_in(&data_dir)).await.unwrap()).await;
}

#[tokio::test]
async fn a_start_right_after_a_kill_waits_for_the_old_server() {
    let data_dir = data_dir("right-after");
    let mut program = Program::start(Some(&data_dir), &DIRECTLY, None);
    program.started();
    program.kill();
    let cluster = Cluster::start(options_in(&data_dir)).await.unwrap();
    write_row(&cluster).await;
    assert_row_kept(&cluster).await;
}

#[tokio::test]
async fn lock_files_of_a_killed_server_do_not_keep_the_next_from_starting() {
    let (data_dir, same_number) = (data_dir("both-are-killed"), data_dir("same-number"));
    let mut program = Program::start(Some(&data_dir), &DIRECTLY, None);
    let (server, _) = program.started();
    kill(Pid::from_raw(server.cast_signed()), Signal::SIGKILL).unwrap();
    program.kill();

    // In a container the same few numbers come round again. Here the file names a process of the same user that lives:
    // another server, at which Postgres by itself would give up.
    let other = Cluster::start(options_in(&same_number)).await.unwrap();
    let pid_file = data_dir.join("cluster/postmaster.pid");
    let left = std::fs::read_to_string(&pid_file).unwrap();
    let renumbered = left.replacen(&server.to_string(), &other.process_id().to_string(), 1);
    assert_ne!(left, renumbered);
    std::fs::write(&pid_file, renumbered).unwrap();
    let socket_lock = data_dir.join("socket/.s.PGSQL.5432.lock");
    std::fs::write(&socket_lock, std::fs::read(&pid_file).unwrap()).unwrap();

    let cluster = Cluster::start(options_in(&data_dir)).await.unwrap();
    write_row(&cluster).await;
}

#[tokio::test]
async fn a_server_that_outlived_us_is_stopped_by_the_next_start() {
    let data_dir = data_dir("outlived");
    let mut program = Program::start(Some(&data_dir), &DIRECTLY, None);
    let (server, _) = program.started();
    // Stopped as by a debugger, it cannot act on what the kernel sends it at our death.
    let server = Pid::from_raw(server.cast_signed());
    kill(server, Signal::SIGSTOP).unwrap();
    program.kill();
    let wake = async {
        let lock = std::fs::File::open(data_dir.join("postrider.lock")).unwrap();
        let deadline = tokio::time::Instant::now() + super::PATIENCE;
        while !is_held(&lock) {
            assert!(
                tokio::time::Instant::now() < deadline,
                "the next start does not begin"
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        kill(server, Signal::SIGCONT).unwrap();
    };
    let (cluster, ()) = tokio::join!(Cluster::start(options_in(&data_dir)), wake);
    write_row(&cluster.unwrap()).await;
}

/// Whether anybody holds a lock on the file, without trying to take it, which would be in their way.
fn is_held(file: &std::fs::File) -> bool {
    let inode = format!(":{} ", file.metadata().unwrap().ino());
    std::fs::read_to_string("/proc/locks")
        .unwrap()
        .lines()
        .any(|line| line.contains("FLOCK") && line.contains(&inode))
}

#[tokio::test]
async fn what_was_committed_outlives_a_kill_of_the_server() {
    let mut own = OwnCluster::start().await;
    let pool = own.database().await.pool().await;
    sqlx::raw_sql("create table kept as select 7 as number")
        .execute(&pool)
        .await
        .unwrap();
    own.kill_immediately().await;
    own.start_again().await;
    // The pool finds the new server by itself.
    let number: i32 = sqlx::query_scalar("select number from kept")
        .fetch_one(&pool)
        .await
        .unwrap();
    assert_eq!(number, 7);
}

#[tokio::test]
async fn a_cluster_that_was_half_made_is_made_anew() {
    let data_dir = data_dir("half-made");
    let half = data_dir.join("cluster.unfinished/base");
    std::fs::create_dir_all(half).unwrap();
    std::fs::write(data_dir.join("postrider.lock"), "").unwrap();
    std::fs::write(data_dir.join("cluster.unfinished/PG_VERSION"), "99\n").unwrap();
    let cluster = Cluster::start(options_in(&data_dir)).await.unwrap();
    write_row(&cluster).await;
    assert!(!data_dir.join("cluster.unfinished").exists());
}

#[tokio::test]
async fn a_cluster_that_is_dropped_leaves_no_server() {
    let cluster = Cluster::start(options_in(&data_dir("dropped")))
        .await
        .unwrap();
    let server = cluster.process_id();
    drop(cluster);
    assert_ends(server).await;
}

#[tokio::test]
async fn a_start_that_nobody_waits_for_leaves_no_server() {
    let data_dir = data_dir("abandoned");
    let options = options_in(&data_dir);
    let abandoned = tokio::time::timeout(Duration::from_millis(1), Cluster::start(options)).await;
    assert!(abandoned.is_err());
    // The abandoned one is on its way up; it is waited for only as long as it holds the directory.
    let deadline = tokio::time::Instant::now() + super::PATIENCE;
    loop {
        match Cluster::start(options_in(&data_dir)).await {
            Ok(cluster) => return write_row(&cluster).await,
            Err(error) => assert!(tokio::time::Instant::now() < deadline, "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
