//! Figures of a process, which is given by its number or as `self`.

use std::fmt::Display;
use std::fs;
use std::path::PathBuf;

/// User and system time so far, in clock ticks: hundredths of a second on every
/// Linux.
pub fn ticks(process: impl Display) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    let fields = stat.rsplit(')').next().unwrap().split_ascii_whitespace();
    fields.skip(11).take(2).map(|field| field.parse::<u64>().unwrap()).sum()
}

/// Resident memory, in kilobytes.
pub fn resident(process: impl Display) -> usize {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse().unwrap()
}

/// The files of a process's descriptors. Some may be closed while they are
/// listed.
pub fn descriptors(process: impl Display) -> impl Iterator<Item = PathBuf> {
    let numbers = fs::read_dir(format!("/proc/{process}/fd")).unwrap();
    numbers.filter_map(|number| fs::read_link(number.unwrap().path()).ok())
}
