//! Calls that the kernel refuses because of a seccomp filter.

use std::io::Write;
use std::os::fd::{AsRawFd, RawFd};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use selectors_core::backend::{Any, Backend, Epoll, Poll, Select};
use selectors_core::storage::Fixed;
use selectors_core::{Error, Events, FileKind, Kind, Mode, Selector};
use selectors_std::Growable;

use super::{Cells, ERRNOS, NOW, Table, Watching, agree, found, opened, pair, ready};
use crate::common::filter::{self, Call};

const CREATE: Call = Call(libc::SYS_epoll_create1, None);
const ADD: Call = Call(libc::SYS_epoll_ctl, Some((1, libc::EPOLL_CTL_ADD as u64)));
const MOD: Call = Call(libc::SYS_epoll_ctl, Some((1, libc::EPOLL_CTL_MOD as u64)));
const DEL: Call = Call(libc::SYS_epoll_ctl, Some((1, libc::EPOLL_CTL_DEL as u64)));
const GETFD: Call = Call(libc::SYS_fcntl, Some((1, libc::F_GETFD as u64)));
const EPOLL: Call = Call(libc::SYS_epoll_pwait, None);
pub(super) const POLL: Call = Call(libc::SYS_ppoll, None);
const SELECT: Call = Call(libc::SYS_pselect6, None);
const EVENTFD: Call = Call(libc::SYS_eventfd2, None);
const WRITE: Call = Call(libc::SYS_write, None);
const READ: Call = Call(libc::SYS_read, None);
const DUP: Call = Call(libc::SYS_dup3, None);

/// Runs something in a thread in which these calls fail with this error.
pub(super) fn under<T: Send>(calls: &[Call], errno: Errno, run: impl FnOnce() -> T + Send) -> T {
    filter::without(calls, errno, run).unwrap()
}

pub(super) fn os(call: &'static str, fd: Option<RawFd>, errno: Errno) -> Error {
    Error::Os { call, fd, errno, file: None }
}

/// The refusal of a call about an open socket.
fn about(call: &'static str, fd: RawFd, errno: Errno) -> Error {
    let file = matches!(errno, Errno::PERM | Errno::BADF).then_some(FileKind::Other);
    Error::Os { call, fd: Some(fd), errno, file }
}

pub(super) const LEVEL: Mode = Mode::Level;
pub(super) const IN: Events = Events::READ;
pub(super) const OUT: Events = Events::WRITE;

/// One backend's calls: those of a registration, of a change, and of a wait.
pub(super) struct Names {
    add: Refused,
    change: Refused,
    pub(super) wait: Refused,
}

/// The calls that have to be refused, and the name of the last one, which is in
/// the error.
type Refused = (&'static [Call], &'static str);

pub(super) fn names(kind: Kind) -> Names {
    // If `poll` fails, the backend checks only that the descriptor is open.
    const CHECK: Refused = (&[POLL, GETFD], "fcntl");
    match kind {
        Kind::Epoll => Names {
            add: (&[ADD], "epoll_ctl"),
            change: (&[MOD], "epoll_ctl"),
            wait: (&[EPOLL], "epoll_wait"),
        },
        Kind::Poll => Names { add: CHECK, change: CHECK, wait: (&[POLL], "poll") },
        _ => Names { add: CHECK, change: CHECK, wait: (&[SELECT], "select") },
    }
}

/// The error of `epoll_ctl` when the kernel says that the descriptor is there
/// already: the backend then modifies it, and it is not there.
fn added(call: &str, errno: Errno) -> Errno {
    if call == "epoll_ctl" && errno == Errno::EXIST { Errno::NOENT } else { errno }
}

fn register<B: Backend + Send, M: Table>(errno: Errno)
where
    Watching<B, M>: Send,
{
    let (mut selector, own) = opened::<B, M>();
    let (call, name) = names(selector.kind()).add;
    let ((one, mut peer), (two, _peer)) = (pair(), pair());
    let (first, second) = (one.as_raw_fd(), two.as_raw_fd());
    selector.register(two, OUT, 2).unwrap();
    let refused = under(call, errno, || selector.try_register(one, IN, 7).map(|_| ()).unwrap_err());
    assert_eq!(refused.error, about(name, first, added(name, errno)));
    assert_eq!((refused.fileobj.as_raw_fd(), refused.data), (first, 7));
    agree(&selector, own, &[(second, OUT, LEVEL)], 0);
    assert_eq!(ready(&mut selector), [(second, OUT)].into());

    selector.register(refused.fileobj, IN, 7).unwrap();
    agree(&selector, own, &[(first, IN, LEVEL), (second, OUT, LEVEL)], 0);
    peer.write_all(b"!").unwrap();
    assert_eq!(ready(&mut selector), [(first, IN), (second, OUT)].into());
}

/// Of a key that is armed, and of a one-shot that fired.
fn modify<B: Backend + Send, M: Table>(errno: Errno)
where
    Watching<B, M>: Send,
{
    for mode in [LEVEL, Mode::OneShot] {
        let (mut selector, own) = opened::<B, M>();
        let (call, name) = names(selector.kind()).change;
        let (one, mut peer) = pair();
        let fd = one.as_raw_fd();
        selector.register(one, OUT.with_mode(mode), 7).unwrap();
        assert_eq!(ready(&mut selector), [(fd, OUT)].into());
        let refused = under(call, errno, || selector.modify(fd, IN.with_mode(mode)));
        assert_eq!(refused, Err(about(name, fd, errno)));
        agree(&selector, own, &[(fd, OUT, mode)], 0);
        peer.write_all(b"!").unwrap();
        assert_eq!(ready(&mut selector).len(), usize::from(mode == LEVEL));
        selector.modify(fd, (IN | OUT).with_mode(mode)).unwrap();
        assert_eq!(ready(&mut selector), [(fd, IN | OUT)].into());
        agree(&selector, own, &[(fd, IN | OUT, mode)], 0);
    }
}

/// The call fails, but the removal does not. The event of the key that the
/// kernel still watches is stale, and the selector then recreates its set.
fn unregister<B: Backend + Send, M: Table>(errno: Errno)
where
    Watching<B, M>: Send,
{
    let (mut selector, own) = opened::<B, M>();
    let (one, two) = pair();
    let (first, second) = (one.as_raw_fd(), two.as_raw_fd());
    selector.register(one, OUT, 7).unwrap();
    selector.register(two, OUT, 8).unwrap();
    let key = under(&[DEL], errno, || selector.unregister(first)).unwrap();
    assert_eq!((key.fileobj.as_raw_fd(), key.data), (first, 7));
    assert_eq!(selector.get_map().len(), 1);
    for _ in 0..2 {
        assert_eq!(ready(&mut selector), [(second, OUT)].into());
    }
    agree(&selector, own, &[(second, OUT, LEVEL)], 0);
    // The same holds if the number is registered again before a wait.
    let key = under(&[DEL], errno, || selector.unregister(second)).unwrap();
    selector.register(key.fileobj, OUT, 9).unwrap();
    agree(&selector, own, &[(second, OUT, LEVEL)], 0);
    assert_eq!(ready(&mut selector), [(second, OUT)].into());
}

fn wait<B: Backend + Send, M: Table>((call, name): Refused, timeout: Duration, errno: Errno)
where
    Watching<B, M>: Send,
{
    let (mut selector, own) = opened::<B, M>();
    let (one, _two) = pair();
    let fd = one.as_raw_fd();
    selector.register(one, OUT.one_shot(), 7).unwrap();
    let result = under(call, errno, || selector.select(Some(timeout)));
    let interrupted = result.map(|result| result.interrupted() && result.events() == 0);
    assert_eq!(
        interrupted,
        if errno == Errno::INTR { Ok(true) } else { Err(os(name, None, errno)) }
    );
    assert!(selector.next_ready().is_none());
    agree(&selector, own, &[(fd, OUT, Mode::OneShot)], 0);
    assert_eq!(ready(&mut selector), [(fd, OUT)].into(), "the event is lost");
}

fn waker<B: Backend + Send, M: Table>((call, name): Refused, errno: Errno)
where
    Watching<B, M>: Send,
{
    let (mut selector, own) = opened::<B, M>();
    let cell = M::cell();
    let result = under(call, errno, || selector.waker_in(cell.clone()).map(|_| ()));
    let Err(Error::Os { call, errno: refused_with, .. }) = result else { panic!("{result:?}") };
    assert_eq!((call, refused_with), (name, added(name, errno)));
    assert_eq!(cell.wake(), Err(Error::WakerClosed));
    agree(&selector, own, &[], 0);
    let waker = selector.waker_in(cell).unwrap();
    agree(&selector, own, &[], 1);
    waker.wake().unwrap();
    assert_eq!(found(selector.select(NOW)), Ok((0, true)));
}

fn wake<B: Backend + Send, M: Table>(errno: Errno) {
    let (mut selector, _) = opened::<B, M>();
    let waker = selector.waker_in(M::cell()).unwrap();
    let result = under(&[WRITE], errno, || waker.wake());
    assert_eq!(result, Err(os("write", None, errno)));
    assert_eq!(found(selector.select(NOW)), Ok((0, false)));
    waker.wake().unwrap();
    assert_eq!(found(selector.select(NOW)), Ok((0, true)));
    assert_eq!(found(selector.select(NOW)), Ok((0, false)));
}

/// If its descriptor can't be read, a wake ends one more wait.
fn drain<B: Backend + Send, M: Table>(errno: Errno)
where
    Watching<B, M>: Send,
{
    let (mut selector, _) = opened::<B, M>();
    let waker = selector.waker_in(M::cell()).unwrap();
    waker.wake().unwrap();
    assert_eq!(found(under(&[READ], errno, || selector.select(NOW))), Ok((0, true)));
    let _ = selector.select(NOW).unwrap();
    assert_eq!(found(selector.select(NOW)), Ok((0, false)));
    waker.wake().unwrap();
    assert_eq!(found(selector.select(NOW)), Ok((0, true)));
}

/// The instance can't be recreated now. The selector goes on with the old one,
/// and tries again later.
fn rebuild<B: Backend + Send, M: Table>(call: Call, errno: Errno)
where
    Watching<B, M>: Send,
{
    let (mut selector, own) = opened::<B, M>();
    let (one, two) = pair();
    let (first, second) = (one.as_raw_fd(), two.as_raw_fd());
    let waker = selector.waker_in(M::cell()).unwrap();
    selector.register(one, OUT, 1).unwrap();
    selector.register(two, OUT, 2).unwrap();
    let key = under(&[DEL], Errno::NOENT, || selector.unregister(first)).unwrap();
    assert_eq!(ready(&mut selector), [(second, OUT)].into());
    let reported = under(&[call], errno, || [(); 3].map(|()| ready(&mut selector)));
    assert_eq!(reported, [(); 3].map(|()| [(second, OUT)].into()));
    let stats = selector.stats();
    assert_eq!((stats.rebuilds, stats.failed_rebuilds), (0, 1), "{stats:?}");
    waker.wake().unwrap();
    assert!(selector.select(NOW).unwrap().woken());
    let mut waits = 0;
    while selector.stats().rebuilds == 0 {
        assert_eq!(ready(&mut selector), [(second, OUT)].into());
        waits += 1;
        assert!(waits <= 100, "it is not tried again: {:?}", selector.stats());
    }
    agree(&selector, own, &[(second, OUT, LEVEL)], 1);
    waker.wake().unwrap();
    assert_eq!(found(selector.select(NOW)), Ok((1, true)));
    assert_eq!(selector.stats().failed_rebuilds, 1);
    drop(key);
}

/// If only the wait for the fraction of a millisecond is refused, the wait
/// lasts longer. An interruption ends it.
fn refinement<B: Backend + Send, M: Table>(errno: Errno)
where
    Watching<B, M>: Send,
{
    let (mut selector, own) = opened::<B, M>();
    let (one, mut peer) = pair();
    let fd = one.as_raw_fd();
    selector.register(one, IN, 7).unwrap();
    let timeout = Duration::from_micros(600);
    let (result, lasted) = under(&[POLL], errno, || {
        let begun = Instant::now();
        (selector.select(Some(timeout)), begun.elapsed())
    });
    let interrupted = errno == Errno::INTR;
    assert_eq!(
        result.map(|result| (result.timed_out(), result.interrupted())),
        Ok((!interrupted, interrupted))
    );
    assert!(interrupted || lasted >= timeout, "{lasted:?}");
    assert_eq!((selector.stats().waits, selector.stats().interrupted), (1, interrupted.into()));
    peer.write_all(b"!").unwrap();
    let result = under(&[POLL], errno, || selector.select(Some(timeout)));
    assert_eq!(found(result), Ok((1, false)), "a ready key needs no second call");
    assert_eq!(ready(&mut selector), [(fd, IN)].into());
    agree(&selector, own, &[(fd, IN, LEVEL)], 0);
}

/// If the kernel refuses the check whether a descriptor can be polled, the
/// registration succeeds.
fn check<B: Backend + Send, M: Table>(errno: Errno)
where
    Watching<B, M>: Send,
{
    let (mut selector, own) = opened::<B, M>();
    let (one, _peer) = pair();
    let fd = one.as_raw_fd();
    under(&[POLL], errno, || {
        selector.register(one, IN, 7).unwrap();
        selector.modify(fd, OUT).unwrap();
    });
    agree(&selector, own, &[(fd, OUT, LEVEL)], 0);
    assert_eq!(ready(&mut selector), [(fd, OUT)].into());
}

fn pair_of<B: Backend + Send, M: Table>(cells: &mut Cells, label: &str)
where
    Watching<B, M>: Send,
{
    let kind = Selector::<B, std::fs::File, (), M>::new().unwrap().kind();
    let Names { add, wait: waits, .. } = names(kind);
    for errno in ERRNOS {
        let mut cell = |call| cells.ran(label, call);
        register::<B, M>(errno);
        cell("register");
        modify::<B, M>(errno);
        cell("modify");
        wait::<B, M>(waits, Duration::ZERO, errno);
        cell("wait");
        waker::<B, M>((&[EVENTFD], "eventfd"), errno);
        cell("waker: eventfd");
        waker::<B, M>(add, errno);
        cell("waker: add");
        if kind == Kind::Epoll {
            let refused = under(&[CREATE], errno, || Watching::<B, M>::new().map(|_| ()));
            assert_eq!(refused, Err(os("epoll_create1", None, errno)));
            cell("new");
            unregister::<B, M>(errno);
            cell("unregister");
            refinement::<B, M>(errno);
            cell("short wait: ppoll");
            wait::<B, M>(waits, Duration::from_micros(1), errno);
            cell("short wait: epoll_wait");
            rebuild::<B, M>(CREATE, errno);
            cell("rebuild: create");
            rebuild::<B, M>(ADD, errno);
            cell("rebuild: add");
            rebuild::<B, M>(DUP, errno);
            cell("rebuild: dup3");
        } else {
            check::<B, M>(errno);
            cell("register, modify: ppoll");
        }
        // An interrupted call is tried again. No signal interrupts all of them,
        // as the filter would.
        if errno != Errno::INTR {
            wake::<B, M>(errno);
            cell("wake: write");
            if kind != Kind::Epoll {
                drain::<B, M>(errno);
                cell("wake: read");
            }
        }
    }
}

/// Probing takes the next backend, except if memory or descriptors are short.
fn probe<M: Table>(cells: &mut Cells, label: &str) {
    type Probed<M> = Selector<Any<M>, std::fs::File, (), M>;
    for errno in ERRNOS {
        for (call, name) in [
            (CREATE, "probing: epoll_create1"),
            (ADD, "probing: epoll_ctl"),
            (EPOLL, "probing: epoll_wait"),
        ] {
            let kind = under(&[call], errno, || Probed::<M>::new().map(|selector| selector.kind()));
            match errno {
                // A shortage does not refuse the probe of `epoll_ctl`, which
                // adds nothing.
                Errno::MFILE | Errno::NOMEM if call.0 != ADD.0 => {
                    assert_eq!(kind.map_err(|error| error.errno()), Err(Some(errno)));
                }
                _ => assert_eq!(kind, Ok(Kind::Poll)),
            }
            cells.ran(label, name);
        }
    }
}

pub(crate) fn all(cells: &mut Cells) {
    type Few = Fixed<8>;
    pair_of::<Epoll, Few>(cells, "epoll, fixed");
    pair_of::<Poll<Few>, Few>(cells, "poll, fixed");
    pair_of::<Select<Few>, Few>(cells, "select, fixed");
    pair_of::<Epoll, Growable>(cells, "epoll, growable");
    pair_of::<Poll<Growable>, Growable>(cells, "poll, growable");
    pair_of::<Select<Growable>, Growable>(cells, "select, growable");
    probe::<Few>(cells, "any, fixed");
    probe::<Growable>(cells, "any, growable");
}
