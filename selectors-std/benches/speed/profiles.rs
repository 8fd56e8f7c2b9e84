//! Builds and runs this program in each profile, and collects the rows.

use std::io::{self, BufRead, BufReader, Error};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs};

use crate::row::Row;
use crate::run::{MEASURE, Options};
use crate::{machine, page};

/// A profile: its name, its description, and its differences from `release`.
pub(crate) struct Profile {
    pub(crate) name: &'static str,
    pub(crate) description: &'static str,
    settings: &'static [&'static str],
}

pub(crate) const PROFILES: [Profile; 3] = [
    Profile { name: "release", description: "as Cargo has it", settings: &[] },
    Profile {
        name: "fat",
        description: "fat LTO with one codegen unit",
        settings: &["lto=\"fat\"", "codegen-units=1"],
    },
    Profile { name: "size", description: "opt-level \"s\"", settings: &["opt-level=\"s\""] },
];

/// All that was measured.
pub(crate) struct Run {
    pub(crate) rows: Vec<Row>,
    pub(crate) took: Duration,
    /// Processes that ran or waited to run just before.
    pub(crate) load: String,
}

/// The folder that Cargo builds in: this program is in its `release/deps`.
pub(crate) fn target() -> io::Result<PathBuf> {
    let program = env::current_exe()?;
    let target = program.ancestors().nth(3);
    Ok(target
        .ok_or_else(|| Error::other("this program is not in Cargo's target folder"))?
        .to_owned())
}

/// The program in this profile, with Cargo's messages on the standard error.
fn command(profile: &Profile, options: &Options) -> io::Result<Command> {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(["bench", "--quiet", "--locked", "--package=selectors-std", "--bench=speed"]);
    command.arg("--manifest-path").arg(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"));
    command.arg("--target-dir").arg(target()?);
    for setting in profile.settings {
        command.arg("--config").arg(format!("profile.bench.{setting}"));
    }
    command.args(["--", MEASURE, profile.name]);
    if options.quick {
        command.arg("--quick");
    }
    if let Some(only) = &options.only {
        command.args(["--only", only]);
    }
    Ok(command)
}

/// Measures, and prints each row when it is there.
pub(crate) fn run(options: &Options) -> io::Result<Run> {
    let (begin, mut rows, load) = (Instant::now(), Vec::new(), machine::load());
    for profile in PROFILES {
        if options.profile.as_deref().is_some_and(|only| only != profile.name) {
            continue;
        }
        println!("\nprofile {}: {}\n", profile.name, profile.description);
        let mut child = command(&profile, options)?.stdout(Stdio::piped()).spawn()?;
        let lines = child.stdout.take().map(BufReader::new);
        for line in lines.into_iter().flat_map(BufRead::lines) {
            let line = line?;
            let Some(row) = Row::from_line(&line) else { continue };
            println!("{}", page::line(&row, &crate::subjects::ALL));
            rows.push(row);
        }
        if !child.wait()?.success() {
            return Err(Error::other(format!("profile {} failed", profile.name)));
        }
    }
    if rows.is_empty() {
        return Err(Error::other("there is no such section or profile: see --help"));
    }
    Ok(Run { rows, took: begin.elapsed(), load })
}

/// Writes a file, and creates its folder.
pub(crate) fn write(folder: &std::path::Path, name: &str, text: &str) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    fs::write(folder.join(name), text)
}
