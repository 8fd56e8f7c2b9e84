//! Every system call that a selector makes fails in turn, with every error number.
//!
//! `kernel` lets the kernel refuse for real: the call is made in a thread that has a seccomp filter for it, and the
//! selector, which is `Send`, comes back from there to a thread without. `seam` puts a backend between selector and
//! kernel that refuses. After each failure the source has come back, table and kernel agree, and the next call works.
#![cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]

mod closed;
mod few;
mod kernel;
#[path = "../common/needs.rs"]
mod needs;
mod seam;

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use rustix::io::Errno;
use selectors_core::backend::Backend;
use selectors_core::storage::{Fixed, Storage};
use selectors_core::{Error, Events, Kind, Mode, SelectResult, Selector, WakeCell};
use selectors_std::Growable;

const ERRNOS: [Errno; 10] = [
    Errno::INTR,
    Errno::NOMEM,
    Errno::NOSPC,
    Errno::MFILE,
    Errno::BADF,
    Errno::NOENT,
    Errno::EXIST,
    Errno::PERM,
    Errno::LOOP,
    Errno::PIPE,
];

const NOW: Option<Duration> = Some(Duration::ZERO);

/// A key table under test.
trait Table: Storage<Wake: Debug + Send + Sync + 'static> + 'static {
    fn cell() -> Self::Wake;
}

impl<const N: usize> Table for Fixed<N> {
    fn cell() -> Self::Wake {
        Box::leak(Box::default())
    }
}

impl Table for Growable {
    fn cell() -> Self::Wake {
        Arc::new(WakeCell::new())
    }
}

type Watching<B, M> = Selector<B, UnixStream, u32, M>;

/// How many events a wait has found, and whether a waker has ended it.
fn found(result: Result<SelectResult, Error>) -> Result<(usize, bool), Error> {
    result.map(|result| (result.events(), result.woken()))
}

/// A connected pair that does not block.
fn pair() -> (UnixStream, UnixStream) {
    let (one, two) = UnixStream::pair().unwrap();
    one.set_nonblocking(true).unwrap();
    two.set_nonblocking(true).unwrap();
    (one, two)
}

/// Waits without waiting, and takes all.
fn ready<B: Backend, M: Table>(selector: &mut Watching<B, M>) -> BTreeMap<RawFd, Events> {
    selector.select(NOW).unwrap();
    let mut all = BTreeMap::new();
    while let Some((key, events)) = selector.next_ready() {
        assert_eq!(all.insert(key.fd, events), None);
    }
    all
}

/// What an epoll instance watches: bits by descriptor.
fn fdinfo(own: RawFd) -> BTreeMap<RawFd, u32> {
    let text = std::fs::read_to_string(format!("/proc/self/fdinfo/{own}")).unwrap();
    let lines = text.lines().filter(|line| line.starts_with("tfd:"));
    let parse = |line: &str| {
        let words: Vec<_> = line.split_whitespace().collect();
        (words[1].parse().unwrap(), u32::from_str_radix(words[3], 16).unwrap())
    };
    lines.map(parse).collect()
}

/// The table holds these, and the kernel the same; a waker beside them if that is said.
fn agree<B: Backend, M: Table>(
    selector: &Watching<B, M>,
    own: Option<RawFd>,
    keys: &[(RawFd, Events, Mode)],
    wakers: usize,
) {
    let sorted = |keys: &mut Vec<(RawFd, Events, Mode)>| keys.sort_by_key(|key| key.0);
    let (mut table, mut keys) = (Vec::new(), keys.to_vec());
    table.extend(selector.get_map().iter().map(|key| (key.fd, key.events, key.mode)));
    sorted(&mut table);
    sorted(&mut keys);
    assert_eq!(table, keys);
    let Some(own) = own.filter(|_| needs::fdinfo()) else { return };
    let mut kernel = fdinfo(own);
    for (fd, events, mode) in keys {
        let bits = kernel.remove(&fd).unwrap_or_else(|| panic!("{fd} is not watched"));
        assert_eq!(bits >> 30 & 1 == 1, mode == Mode::OneShot, "{bits:#x}");
        assert!(bits & 0b111 == events.bits().into() || mode == Mode::OneShot && bits & 0b111 == 0);
    }
    assert_eq!(kernel.len(), wakers, "{kernel:?}");
}

/// The number that the next descriptor has, which is the epoll instance's if that is opened next. True
/// as long as no other thread opens any, so all cells run in one test.
fn opened<B: Backend, M: Table>() -> (Watching<B, M>, Option<RawFd>) {
    let next = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3).unwrap().as_raw_fd();
    let selector = Selector::new().unwrap();
    let own = (selector.kind() == Kind::Epoll).then_some(next);
    (selector, own)
}

/// How many cells of the table call × errno were run, by backend and call.
#[derive(Default)]
struct Cells(BTreeMap<(String, &'static str), u32>);

impl Cells {
    fn ran(&mut self, backend: &str, call: &'static str) {
        *self.0.entry((backend.to_owned(), call)).or_default() += 1;
    }
}

#[test]
fn every_call_fails_with_every_errno() {
    let mut cells = Cells::default();
    match kernel::allows_filters() {
        Ok(()) => kernel::all(&mut cells),
        Err(error) => needs::skip(&format!("the kernel refuses a filter: {error}")),
    }
    seam::all(&mut cells);
    closed::all(&mut cells);
    few::all(&mut cells);
    for ((backend, call), count) in &cells.0 {
        println!("{backend:24} {call:36} {count:3} error numbers");
    }
    println!("{} cells run", cells.0.values().sum::<u32>());
}
