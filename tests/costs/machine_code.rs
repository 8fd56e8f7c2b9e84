//! The machine code of core without std: no panic in the methods of a selector,
//! and little more code for another capacity. It depends on the compiler, so
//! these tests are for `.ci/run`, or for
//! `cargo test --test costs -- --ignored`.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::common::without_std;

/// Builds a program of `tests/costs/no_std`.
fn build(name: &str, features: &str, level: &str) -> PathBuf {
    let level_is = [("CARGO_PROFILE_RELEASE_OPT_LEVEL", level)];
    without_std::build(
        "tests/costs/no_std",
        name,
        &format!("no_std_tests-{level}"),
        &["--features", features],
        &level_is,
    )
}

/// The output of one of binutils' programs, which come with the linker.
fn binutils(program: &str, arguments: &[&str], file: &Path) -> String {
    let output = Command::new(program).args(arguments).arg(file).output().unwrap();
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// For each function, those that it calls, jumps to, or takes the address of.
fn mentions(file: &Path) -> HashMap<String, HashSet<String>> {
    let mut mentions = HashMap::<String, HashSet<String>>::new();
    let mut function = String::new();
    for line in binutils("objdump", &["-d", "-C", "--no-show-raw-insn"], file).lines() {
        // `0000000000010101 <name>:`, or `   10101:  call   10202 <name+0x4>`,
        // where the name may hold such brackets.
        let Some((place, name)) =
            line.split_once(" <").and_then(|(place, rest)| Some((place, rest.rsplit_once('>')?.0)))
        else {
            continue;
        };
        if place.contains(':') {
            let name = name.rsplit_once("+0x").map_or(name, |(name, _)| name);
            mentions.entry(function.clone()).or_default().insert(name.to_owned());
        } else {
            function = format!("{name} at {place}");
            mentions.entry(name.to_owned()).or_default().insert(function.clone());
        }
    }
    mentions
}

/// The paths of calls from these functions of the program to a panic.
fn ways_to_panic(file: &Path, names: &[&str]) -> Vec<Vec<String>> {
    let mentions = mentions(file);
    let mut found = Vec::new();
    for name in names {
        let root = format!("hot_paths::{name}");
        let roots = mentions.get(&root).unwrap_or_else(|| panic!("{root} is not in the program"));
        assert_eq!(
            roots.iter().filter(|place| place.contains(" at ")).count(),
            4,
            "{root}: one for each backend"
        );
        let (mut seen, mut ways) = (HashSet::new(), vec![vec![root]]);
        while let Some(way) = ways.pop() {
            let last = way.last().unwrap().clone();
            if last.starts_with("core::panicking") || last.contains("_fail") {
                found.push(way);
                continue;
            }
            // This function panics if the kernel returns -1 as a new
            // descriptor, which it never does.
            if !seen.insert(last.clone()) || last == "selectors_core::backend::epoll::create" {
                continue;
            }
            for next in mentions.get(&last).into_iter().flatten() {
                ways.push(way.iter().chain([next]).cloned().collect());
            }
        }
    }
    found
}

const HOT: [&str; 5] = ["register", "modify", "unregister", "select", "next_ready"];

#[test]
#[ignore = "depends on the compiler: checked by .ci/run"]
fn no_call_of_a_running_program_can_panic() {
    let ways = ways_to_panic(&build("hot_paths", "", "3"), &HOT);
    assert!(ways.is_empty(), "{ways:#?}");
}

#[test]
#[ignore = "depends on the compiler: checked by .ci/run"]
fn a_panic_would_be_found() {
    let ways = ways_to_panic(&build("hot_paths", "planted", "3"), &HOT);
    assert!(!ways.is_empty() && ways.iter().all(|way| way[0] == "hot_paths::modify"), "{ways:#?}");
}

#[test]
#[ignore = "depends on the compiler: checked by .ci/run"]
fn another_capacity_adds_little_code() {
    let size = |features| {
        let file = build("capacities", features, "z");
        let sections = binutils("size", &["-A"], &file);
        let text = sections.lines().find_map(|line| line.strip_prefix(".text")).unwrap().trim();
        text.split(' ').next().unwrap().parse::<u32>().unwrap()
    };
    let (one, two, four) = (size(""), size("two"), size("four"));
    let each = (four - two) / 2;
    println!(
        "code for 1, 2 and 4 capacities: {one}, {two}, {four} bytes; {each} for each further one"
    );
    // This includes the use itself, in a function of the program.
    assert!(each <= 800);
}
