//! Every system call that a selector makes fails in turn, with every error
//! number.
//!
//! `kernel` lets the kernel refuse: the call is made in a thread that has a
//! seccomp filter for it, and the selector, which is `Send`, comes back from
//! there to a thread without. `seam` puts a backend that refuses between
//! selector and kernel.

mod closed;
mod kernel;
// Not in `common`: the emulated kqueue has it, too, where both are in a binary.
#[path = "../../common/layer.rs"]
mod layer;
mod seam;
mod without_a_selector;

use std::collections::BTreeMap;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;

use rustix::io::Errno;
use selectors_core::backend::Backend;
use selectors_core::{Error, Events, Kind, Mode, SelectResult, Selector};

use crate::common::alone::alone;
use crate::common::support::{self, NOW, Table, fdinfo, pair};
use crate::common::{filter, needs};

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

type Watching<B, M> = Selector<B, UnixStream, u32, M>;

/// How many events a wait has found, and whether a waker has ended it.
fn found(result: Result<SelectResult, Error>) -> Result<(usize, bool), Error> {
    result.map(|result| (result.events(), result.woken()))
}

/// All that is ready now.
fn ready<B: Backend, M: Table>(selector: &mut Watching<B, M>) -> BTreeMap<RawFd, Events> {
    support::ready(selector, NOW)
}

/// Asserts that the table holds these keys, and the kernel the same and so many
/// wakers.
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
        let entries = kernel.remove(&fd).unwrap_or_else(|| panic!("{fd} is not watched"));
        let [(bits, _)] = entries[..] else { panic!("{fd}: {entries:?}") };
        assert_eq!(bits >> 30 & 1 == 1, mode == Mode::OneShot, "{bits:#x}");
        assert!(bits & 0b111 == events.bits().into() || mode == Mode::OneShot && bits & 0b111 == 0);
    }
    assert_eq!(kernel.len(), wakers, "{kernel:?}");
}

/// A selector, and the descriptor of its epoll instance: the number that is
/// free before it is opened. This is why no other test runs in the process.
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
    alone(every_call_fails_with_every_errno, || {
        let mut cells = Cells::default();
        match filter::without(&[], Errno::PERM, || ()) {
            Ok(()) => {
                kernel::all(&mut cells);
                closed::all(&mut cells);
                without_a_selector::all(&mut cells);
            }
            Err(error) => needs::skip(&error),
        }
        seam::all(&mut cells);
        for ((backend, call), count) in &cells.0 {
            println!("{backend:24} {call:36} {count:3} error numbers");
        }
        println!("{} cells run", cells.0.values().sum::<u32>());
    });
}
