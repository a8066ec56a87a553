//! Another process that keeps a private Postgres, to be killed: this test binary, asked for one "test" only.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use postrider::db::embedded::{Cluster, Options};

/// The "test" that is the program.
const ENTRY: &str = "embedded::program::keeps_a_cluster_until_its_input_ends";
/// Tells it where; unset for the usual place.
const DATA_DIR: &str = "POSTRIDER_TEST_DATA_DIR";
/// Tells it what to become the server with.
const EXECUTABLE: &str = "POSTRIDER_TEST_EXECUTABLE";
/// Before the server's process id.
const STARTED: &str = "program: started ";
/// Before the directory.
const DIRECTORY: &str = "program: directory ";
/// Before the reason it did not start.
const REFUSED: &str = "program: refused ";

#[tokio::test]
#[ignore = "not a test: the program that other tests start"]
async fn keeps_a_cluster_until_its_input_ends() {
    let options = Options {
        data_dir: std::env::var_os(DATA_DIR).map(PathBuf::from),
        executable: std::env::var_os(EXECUTABLE).unwrap().into(),
        install: false,
        durable: false,
        ..Options::default()
    };
    match Cluster::start(options).await {
        Ok(cluster) => {
            // The harness has begun a line of its own.
            println!(
                "\n{STARTED}{}\n{DIRECTORY}{}",
                cluster.process_id(),
                cluster.data_dir().display()
            );
            let read =
                tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new()));
            read.await.unwrap().unwrap();
            cluster.stop().await;
        }
        Err(error) => println!("\n{REFUSED}{}", error.to_string().replace('\n', " ")),
    }
}

/// The running program.
#[derive(Debug)]
pub(super) struct Program {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Program {
    /// Starts it, perhaps by way of another program such as `setpriv`, from copies in `copies` if others are to run it.
    pub(super) fn start<S: AsRef<OsStr>>(
        data_dir: Option<&Path>,
        wrapper: &[S],
        copies: Option<&Path>,
    ) -> Program {
        let ourselves = std::env::current_exe().unwrap();
        let postrider = PathBuf::from(env!("CARGO_BIN_EXE_postrider"));
        let runnable = |path: PathBuf| match copies {
            Some(directory) => {
                let copy = directory.join(path.file_name().unwrap());
                std::fs::copy(&path, &copy).unwrap();
                copy
            }
            None => path,
        };
        let (ourselves, postrider) = (runnable(ourselves), runnable(postrider));
        let mut command = match wrapper {
            [] => Command::new(ourselves),
            [program, arguments @ ..] => {
                let mut command = Command::new(program);
                command.args(arguments).arg(ourselves);
                command
            }
        };
        command
            .args(["--exact", ENTRY, "--ignored", "--nocapture"])
            .env(EXECUTABLE, postrider);
        if let Some(data_dir) = data_dir {
            command.env(DATA_DIR, data_dir);
        }
        if let Some(copies) = copies {
            command
                .env("XDG_DATA_HOME", copies.join("data"))
                .env("XDG_CACHE_HOME", copies.join("cache"));
            command.current_dir(copies);
        }
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (input, output) = (
            child.stdin.take(),
            BufReader::new(child.stdout.take().unwrap()),
        );
        Program {
            child,
            input,
            output,
        }
    }

    /// The server's process and the data directory, once it is there.
    pub(super) fn started(&mut self) -> (u32, PathBuf) {
        (
            self.line_after(STARTED).parse().unwrap(),
            self.line_after(DIRECTORY).into(),
        )
    }

    /// Why it did not start.
    pub(super) fn refused(mut self) -> String {
        self.line_after(REFUSED)
    }

    /// Kills it, with nothing said to anybody.
    pub(super) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Lets it stop in order.
    pub(super) fn end(mut self) {
        drop(self.input.take());
        assert!(self.child.wait().unwrap().success());
    }

    /// The rest of the line that begins so.
    fn line_after(&mut self, start: &str) -> String {
        let mut line = String::new();
        while self.output.read_line(&mut line).unwrap() > 0 {
            if let Some(rest) = line.strip_prefix(start) {
                return rest.trim().to_owned();
            }
            assert!(!line.starts_with(REFUSED), "{line}");
            line.clear();
        }
        panic!("the program ended without {start:?}");
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Ended already, unless a test failed on the way.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
