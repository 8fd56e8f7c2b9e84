//! Where the figures come from.

use std::fs;
use std::process::Command;

use rustix::process::{Resource, getrlimit};

use crate::limits;

/// What a program prints.
fn output(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    output
        .map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
        .unwrap_or_default()
}

fn processor() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    format!("{}, {cores} cores", model.map_or("unknown", |(_, model)| model))
}

/// What the kernel does against speculation. It decides what a return after a
/// system call costs.
fn mitigation(of: &str) -> String {
    let text = fs::read_to_string(format!("/sys/devices/system/cpu/vulnerabilities/{of}"));
    text.map(|text| text.trim().to_owned()).unwrap_or_default()
}

/// The version of a dependency.
fn version(name: &str) -> String {
    let lock = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.lock"));
    let line = format!("name = \"{name}\"");
    let version = lock.lines().skip_while(|at| *at != line).nth(1);
    version.and_then(|line| line.split('"').nth(1)).unwrap_or_default().to_owned()
}

/// The load average of the last minute.
pub(crate) fn load() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or_default().to_owned()
}

/// What the page says about the machine: names and values.
pub(crate) fn facts() -> Vec<(&'static str, String)> {
    let files = getrlimit(Resource::Nofile).current;
    vec![
        ("Date", output("date", &["-u", "+%F"])),
        ("Processor", processor()),
        ("Kernel", output("uname", &["-srm"])),
        ("Spectre v2", mitigation("spectre_v2")),
        ("Retbleed", mitigation("retbleed")),
        ("Compiler", output("rustc", &["--version"])),
        (
            "Versions",
            format!(
                "mio {}, polling {}, rustix {}",
                version("mio"),
                version("polling"),
                version("rustix")
            ),
        ),
        ("Limit of open files", files.map_or("none".to_owned(), |files| files.to_string())),
        ("Lowered for it", limits::lowered()),
    ]
}
