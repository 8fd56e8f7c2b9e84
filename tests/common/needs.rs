//! What a test needs of the machine: descriptors, other programs, calls that
//! some containers refuse.
//!
//! The shell's soft limit on open descriptors is 1024 on most systems and 256
//! on macOS. A process may raise it up to the hard limit, and `descriptors`
//! does so. A test that needs more than the machine has prints that and is
//! skipped.
#![allow(dead_code, reason = "each test uses a part of it")]
#![allow(unreachable_pub, reason = "nothing here is reached from elsewhere")]

use std::io::Write;
use std::num::NonZero;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Condvar, Mutex, OnceLock, PoisonError};
use std::{env, io, thread};

use rustix::fs::{Access, access};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// More than any test needs. Some systems call the hard limit unlimited, and
/// refuse that.
const MOST: u64 = 20_000;

/// What the harness, the libraries and the other tests may have open: those of
/// the contract that reserve nothing have at most about a dozen open at once
/// each.
fn others() -> usize {
    let number = |text: String| text.parse().ok();
    let given = env::args().find_map(|arg| number(arg.strip_prefix("--test-threads=")?.to_owned()));
    let chosen = given.or_else(|| env::var("RUST_TEST_THREADS").ok().and_then(number));
    let threads = chosen.or_else(|| thread::available_parallelism().ok().map(NonZero::get));
    (40 + 12 * threads.unwrap_or(8)).min(limit() / 2)
}

/// Set to the name of the test in a process that runs this test alone.
pub const ALONE: &str = "SELECTORS_ALONE";

/// How the line begins that is printed for a skipped test.
pub const SKIPPED: &str = "skipped: ";

/// Prints why a test is skipped, even if it is not run with `--nocapture`.
/// Where `CI=true` a test may not be skipped.
pub fn skip(reason: &str) {
    let thread = || thread::current().name().unwrap_or("a test").to_owned();
    let test = env::var(ALONE).unwrap_or_else(|_| thread());
    assert!(
        env::var_os("CI").is_none_or(|ci| ci != "true"),
        "{test} can't be skipped in CI: {reason}"
    );
    // The harness would keep what `println` prints.
    let _ = writeln!(io::stderr(), "{SKIPPED}{test}: {reason}");
}

/// Raises the soft limit on open descriptors up to the hard one. Returns the
/// limit, which no number of a descriptor reaches.
pub fn limit() -> usize {
    static LIMIT: OnceLock<usize> = OnceLock::new();
    *LIMIT.get_or_init(|| {
        let limit = getrlimit(Resource::Nofile);
        let hard = limit.maximum.unwrap_or(MOST).min(MOST);
        // macOS refuses more than it allows a process, whatever the hard limit
        // says: 10240 by default.
        for most in [hard, hard.min(10_240), hard.min(4096)] {
            if limit.current.is_none_or(|soft| soft >= most)
                || setrlimit(Resource::Nofile, Rlimit { current: Some(most), ..limit }).is_ok()
            {
                break;
            }
        }
        let soft = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        usize::try_from(soft).unwrap_or(usize::MAX).min(1 << 20)
    })
}

/// Whether a descriptor can have this number. If not, that is printed.
pub fn number(number: usize) -> bool {
    let enough = number < limit();
    if !enough {
        skip(&format!(
            "it needs a descriptor with the number {number}, but the hard limit is {}",
            limit()
        ));
    }
    enough
}

/// Descriptors that a test has to itself, until this is dropped.
pub struct Descriptors(usize);

static TAKEN: Mutex<usize> = Mutex::new(0);
static GIVEN_BACK: Condvar = Condvar::new();

/// Reserves so many descriptors for a test, and waits until the other tests of
/// the process leave that many.
///
/// `None` if the hard limit does not allow so many, which is printed. A test
/// reserves once, before it opens anything.
#[must_use]
pub fn descriptors(number: usize) -> Option<Descriptors> {
    let others = others();
    let room = limit().saturating_sub(others);
    if number > room {
        skip(&format!(
            "it needs {number} descriptors and leaves {others} for others, but the hard limit is {}",
            limit()
        ));
        return None;
    }
    let mut taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
    while *taken + number > room {
        taken = GIVEN_BACK.wait(taken).unwrap_or_else(PoisonError::into_inner);
    }
    *taken += number;
    Some(Descriptors(number))
}

impl Drop for Descriptors {
    fn drop(&mut self) {
        *TAKEN.lock().unwrap_or_else(PoisonError::into_inner) -= self.0;
        GIVEN_BACK.notify_all();
    }
}

/// Whether `/proc/self/fdinfo` lists what an epoll instance watches. If not,
/// that is printed, and the tests compare less.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub fn fdinfo() -> bool {
    use std::os::fd::AsRawFd;

    use rustix::event::{EventfdFlags, epoll, eventfd};

    static LISTS: OnceLock<bool> = OnceLock::new();
    *LISTS.get_or_init(|| {
        let instance = epoll::create(epoll::CreateFlags::CLOEXEC).unwrap();
        let event = eventfd(0, EventfdFlags::CLOEXEC).unwrap();
        epoll::add(&instance, &event, epoll::EventData::new_u64(0), epoll::EventFlags::IN).unwrap();
        let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", instance.as_raw_fd()));
        let lists = info.is_ok_and(|info| info.lines().any(|line| line.starts_with("tfd:")));
        if !lists {
            skip("/proc/self/fdinfo does not list what epoll watches, so that is not compared");
        }
        lists
    })
}

/// As above: only these two have epoll.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub fn fdinfo() -> bool {
    false
}

/// The folder for temporary files, or another one if a socket in it would have
/// too long a path: 104 bytes are allowed on the BSDs, and 108 on Linux.
pub fn socket_folder() -> PathBuf {
    let folders = [env::temp_dir(), "/tmp".into(), "/var/tmp".into()];
    let fits = |folder: &&PathBuf| {
        folder.as_os_str().len() <= 60 && access(*folder, Access::WRITE_OK).is_ok()
    };
    folders.iter().find(fits).unwrap_or(&folders[0]).clone()
}

/// Whether strace is installed and may trace. If not, that is printed.
pub fn strace() -> bool {
    let refused = match Command::new("strace").args(["-o", "/dev/null", "true"]).output() {
        Ok(output) if output.status.success() => return true,
        Ok(output) => {
            String::from_utf8_lossy(&output.stderr).lines().next().unwrap_or("it fails").to_owned()
        }
        Err(error) => error.to_string(),
    };
    skip(&format!("strace can't be used ({refused}); install it to run this test"));
    false
}

/// The path of a program that is installed. If it is not, that is printed.
pub fn installed(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let directories = env::split_paths(&path).chain(["/usr/sbin".into(), "/usr/local/sbin".into()]);
    let found = directories.map(|directory| directory.join(name)).find(|program| program.is_file());
    if found.is_none() {
        skip(&format!("{name} is not installed"));
    }
    found
}
