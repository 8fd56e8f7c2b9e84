//! Builds the programs without std. They link with a few flags of their own,
//! and their sizes are measured: what the user sets for other programs must not
//! change them.
#![allow(unreachable_pub, reason = "nothing here is reached from elsewhere")]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Builds a program of the package in this folder of the checkout, and returns
/// its path.
///
/// Neither the flags nor a wrapper of the compiler that the environment or a
/// configuration file of the user names are used. An empty variable overrides
/// what a file says. For what a file says of profiles see `.ci/own-flags`.
pub fn build(
    package: &str,
    program: &str,
    target: &str,
    arguments: &[&str],
    variables: &[(&str, &str)],
) -> PathBuf {
    let mut command = Command::new(env!("CARGO"));
    command.args([
        "build",
        "--quiet",
        "--release",
        "--locked",
        "--message-format=json",
        "--bin",
        program,
    ]);
    command.args(arguments).arg("--manifest-path");
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join(package).join("Cargo.toml"));
    command.arg("--target-dir").arg(Path::new(env!("CARGO_TARGET_TMPDIR")).join(target));
    for (name, _) in
        std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("CARGO_PROFILE_"))
    {
        command.env_remove(name);
    }
    for name in ["CARGO_ENCODED_RUSTFLAGS", "RUSTC_WRAPPER", "RUSTC_WORKSPACE_WRAPPER"] {
        command.env(name, "");
    }
    // The programs have their own panic handler, and nothing to unwind with.
    command.env("CARGO_PROFILE_RELEASE_PANIC", "abort").envs(variables.iter().copied());
    let output = command.stderr(Stdio::inherit()).output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", output.status);
    // Cargo says where it is: a target that the user has set as the default one
    // has a folder of its own.
    let messages = String::from_utf8(output.stdout).unwrap();
    let executable =
        |line: &str| line.split_once("\"executable\":\"")?.1.split('"').next().map(PathBuf::from);
    let mut executables = messages.lines().filter_map(executable);
    let found = executables.find(|path| path.file_name().is_some_and(|name| name == program));
    found.unwrap_or_else(|| panic!("{program} is not in {messages}"))
}
