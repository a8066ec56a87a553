//! From the options to a server that answers.

use std::fs::{self, File};
use std::io;
use std::process::{Child, Command};
use std::thread;
use std::time::Duration;

use nix::unistd::Pid;
use tokio::time::Instant;

use super::account::Account;
use super::directory::Directory;
use super::find::{self, Binaries, Search};
use super::install::Installer;
use super::launcher::{Launcher, said};
use super::server::{self, Running, process_of};
use super::{Cluster, Error, Options, PORT, initdb, locks};

/// Recovery after a crash is inside it, and may have much to do.
const READY_SECONDS_MAX: u64 = 300;
/// Between two looks at the pid file; a start takes some 30 ms.
const POLL: Duration = Duration::from_millis(4);

/// Everything from the options to a server that answers.
pub(super) fn start(options: &Options) -> Result<(Cluster, Running), Error> {
    let directory = Directory::choose(options.data_dir.as_deref())?;
    let binaries = choose_binaries(&directory, options)?;
    // After the binaries: installing them may have made the user.
    let account = Account::for_cluster(&directory.cluster())?;
    let launcher = Launcher {
        executable: options.executable.clone(),
        account,
    };
    // Finds out at once, and with a clear message, whether we may become the account and it may run the server.
    launcher.run(&binaries.postgres(), &["--version"])?;
    directory.prepare(&launcher.account)?;
    let ours = locks::take_ours(&directory)?;
    let servers = locks::take_servers(&directory)?;
    locks::remove_leftovers(&directory)?;
    initdb::initdb(&directory, &binaries, &launcher, options.durable)?;
    launcher.account.own_directory(&directory.socket())?;
    let log = directory.open_log()?;
    let log_start = log.metadata().map_or(0, |metadata| metadata.len());
    let command = command(&directory, &binaries, &launcher, options);
    let mut child =
        spawn(command, log, servers).map_err(Error::system("run", &launcher.executable))?;
    wait_until_ready(&directory, &mut child, log_start)?;

    let (server, running) = server::of(child);
    let cluster = Cluster {
        directory,
        binaries,
        server,
        _ours: ours,
    };
    Ok((cluster, running))
}

/// The programs to use: of the version that wrote the data, if there is data.
fn choose_binaries(directory: &Directory, options: &Options) -> Result<Binaries, Error> {
    let wanted = directory.major();
    let named = options.binaries.as_deref();
    let mut search = find::find(named, wanted)?;
    if search == Search::Nothing && options.install {
        tracing::info!("no PostgreSQL was found on this machine: installing one");
        let installed = Installer::usual()?.install(&mut |line| tracing::info!("{line}"))?;
        search = find::find(Some(&installed), wanted)?;
    }
    match (search, wanted) {
        (Search::Found(binaries), _) => Ok(binaries),
        (Search::OtherMajors(found), Some(wanted)) => Err(Error::OtherMajor {
            data_dir: directory.root().to_owned(),
            wanted,
            found,
        }),
        _ => Err(Error::NotFound),
    }
}

/// The command line of the server.
fn command(
    directory: &Directory,
    binaries: &Binaries,
    launcher: &Launcher,
    options: &Options,
) -> Command {
    let mut command = launcher.command(&binaries.postgres());
    command
        .arg("-D")
        .arg(directory.cluster())
        .arg("-k")
        .arg(directory.socket());
    for (name, value) in settings(options) {
        command.arg("-c").arg(format!("{name}={value}"));
    }
    command
}

/// Starts the server. Its standard input is the lock, which every process of it inherits.
fn spawn(mut command: Command, log: File, servers_lock: File) -> io::Result<Child> {
    command
        .stdin(servers_lock)
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
}

/// The server's settings, ours first: of two with one name the later wins.
fn settings(options: &Options) -> Vec<(String, String)> {
    let port = PORT.to_string();
    let mut ours = vec![
        ("listen_addresses", ""),
        ("port", &*port),
        ("unix_socket_permissions", "0700"),
        ("logging_collector", "off"),
        ("cluster_name", "postrider"),
        // One call after a crash instead of a thousand: 0.3 s instead of 2 to 6 on a busy disk.
        #[cfg(target_os = "linux")]
        ("recovery_init_sync_method", "syncfs"),
    ];
    if !options.durable {
        ours.push(("fsync", "off"));
    }
    let ours = ours
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
    ours.chain(options.settings.iter().cloned()).collect()
}

/// Waits until the server says in its pid file that it is ready.
fn wait_until_ready(directory: &Directory, child: &mut Child, log_start: u64) -> Result<(), Error> {
    let deadline = Instant::now() + Duration::from_secs(READY_SECONDS_MAX);
    while !is_ready(directory, process_of(child)) {
        let status = child
            .try_wait()
            .map_err(Error::system("wait for", directory.cluster()))?;
        if let Some(status) = status {
            let log = fs::read(directory.log()).unwrap_or_default();
            let new = usize::try_from(log_start)
                .ok()
                .and_then(|start| log.get(start..))
                .unwrap_or(&log);
            return Err(Error::Failed {
                what: "postgres".to_owned(),
                status: status.to_string(),
                output: said(new),
            });
        }
        if Instant::now() > deadline {
            // It dies with this thread; nothing more is to be done for it.
            return Err(Error::NotReady {
                seconds: READY_SECONDS_MAX,
                log: directory.log(),
            });
        }
        thread::sleep(POLL);
    }
    Ok(())
}

/// The eighth line of the pid file; the first must be this very server.
fn is_ready(directory: &Directory, process: Pid) -> bool {
    let Ok(text) = fs::read_to_string(directory.pid_file()) else {
        return false;
    };
    let mut lines = text.lines().map(str::trim);
    lines.next() == Some(&*process.to_string()) && lines.nth(6) == Some("ready")
}
