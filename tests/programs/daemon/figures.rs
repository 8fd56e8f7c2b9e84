//! What a daemon costs: processor time, memory, system calls. Printed; and
//! where a promise was made, kept.

use std::env;
use std::fs;
use std::thread::sleep;
use std::time::Duration;

use super::service::{PLACES, served};
use super::subject::Subject;
use crate::common::needs;
use crate::common::process::{resident, ticks};

pub fn processor_time(subject: &Subject) {
    const SECONDS: u64 = 3;
    let daemon = subject.start(60);
    let _clients = served(&daemon, PLACES);
    let before = ticks(daemon.id());
    sleep(Duration::from_secs(SECONDS));
    let ticks = ticks(daemon.id()) - before;
    println!(
        "{}: {ticks} hundredths of a second in {SECONDS} s with {PLACES} idle peers",
        subject.name
    );
    assert!(ticks <= SECONDS, "more than 1 %");
}

pub fn memory(subject: &Subject) {
    let daemon = subject.start(60);
    let idle = resident(daemon.id());
    let clients = served(&daemon, PLACES);
    let busy = resident(daemon.id());
    drop(clients);
    println!("{}: {} bytes", subject.name, subject.size());
    if !subject.is_native() {
        return;
    }
    println!("{}: resident {idle} kB idle, {busy} kB with {PLACES} peers", subject.name);
    if subject.bare && cfg!(target_arch = "x86_64") {
        let minimal = fs::metadata(subject.path.with_file_name("minimal")).unwrap().len();
        println!("minimal: {minimal} bytes");
        assert!(subject.size() <= 12 * 1024 && minimal <= 4 * 1024);
        assert!(idle <= 32 && busy <= 48);
    }
}

pub fn system_calls(subject: &Subject) {
    if !subject.is_native() {
        return println!("skipped: an emulator's system calls say nothing");
    }
    if !needs::strace() {
        return;
    }
    let trace = env::temp_dir().join(format!(
        "selectors-daemon-trace-{}-{}",
        std::process::id(),
        subject.bare
    ));
    let daemon = subject.start_by(&["strace", "-o", trace.to_str().unwrap()], 60);
    assert_eq!(daemon.ask("quit"), "bye\n");
    daemon.ended();
    let calls = fs::read_to_string(&trace).unwrap();
    fs::remove_file(&trace).unwrap();
    // The first is the execve by which the process becomes the daemon.
    let before: Vec<_> =
        calls.lines().skip(1).take_while(|call| !call.starts_with("epoll_pwait")).collect();
    assert!(calls.lines().count() > before.len() + 1, "no wait:\n{calls}");
    println!("{}: {} system calls before the first wait", subject.name, before.len());
    if subject.bare {
        assert!(before.len() <= 10, "{before:#?}");
    }
}
