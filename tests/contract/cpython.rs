//! The tests of CPython's `test_selectors.py`, by their names there.

use crate::support::UnixStream;
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::collections::BTreeSet;
#[cfg(unix)]
use std::fs::File;
use std::io::{Read, Write};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use selectors_core::{Error, Events, Kind, Selector};

use crate::needs;
#[cfg(unix)]
use crate::signals::interrupt;
use crate::support::{
    Found, Kernel, NOW, Raw, SOON, Table, agree, apart, beyond_select, pair, raw, ready,
};

/// A number that is surely not open.
const UNKNOWN: RawFd = 999_999;

/// What a test waits in vain for.
const TIMEOUT: Duration = Duration::from_millis(100);

/// What no test of these waits for unless it fails.
const LATE: Duration = Duration::from_secs(15);

pub fn register<B: Kernel, M: Table>() {
    let (one, _two) = pair();
    let fd = one.as_raw_fd();
    let mut selector = Selector::<B, _, _, M>::new().unwrap();
    let key = selector.register(one.as_fd(), Events::READ, "data").unwrap();
    assert_eq!(
        (key.fileobj.as_raw_fd(), key.fd, key.events, key.data),
        (fd, fd, Events::READ, "data")
    );
    agree(&selector);

    let unknown = Events::from_bits_retain(0x423f);
    // SAFETY: the standard input is not closed by any test.
    let stdin = unsafe { BorrowedFd::borrow_raw(0) };
    let refused = selector.register(stdin, unknown, "unknown event").unwrap_err();
    assert_eq!(refused, Error::InvalidEvents { events: unknown });

    let again = selector.register(one.as_fd(), Events::READ, "twice").unwrap_err();
    assert_eq!(again, Error::AlreadyRegistered { fd });
    // SAFETY: as open as `one`.
    let other = unsafe { BorrowedFd::borrow_raw(fd) };
    let again = selector.register(other, Events::READ, "with a different object").unwrap_err();
    assert_eq!(again, Error::AlreadyRegistered { fd });
    agree(&selector);

    let mut selector = Selector::<B, _, _, M>::new().unwrap();
    // SAFETY: a negative number is no descriptor.
    let invalid = unsafe { selector.register_raw(raw(!0), Events::READ, ()) }.unwrap_err();
    assert_eq!(invalid, Error::InvalidFd { fd: !0 });
}

pub fn unregister<B: Kernel, M: Table>() {
    let (one, _two) = pair();
    let fd = one.as_raw_fd();
    let mut selector = Selector::<B, _, _, M>::new().unwrap();
    selector.register(one, Events::READ, ()).unwrap();
    let key = selector.unregister(fd).unwrap();
    assert_eq!(key.fileobj.as_raw_fd(), fd);
    assert_eq!(
        selector.unregister(UNKNOWN).unwrap_err(),
        Error::NotRegistered { key: UNKNOWN.into() }
    );
    assert_eq!(selector.unregister(fd).unwrap_err(), Error::NotRegistered { key: fd.into() });
    agree(&selector);
}

/// A selector that watches two bare numbers, which are the caller's to close.
fn raw_pair<B: Kernel, M: Table>() -> (Selector<B, Raw, (), M>, OwnedFd, OwnedFd) {
    let (one, two) = pair();
    let (one, two) = (apart(one), apart(two));
    let mut selector = Selector::<B, _, _, M>::new().unwrap();
    // SAFETY: nothing else is open at these numbers, so closing them affects no
    // other owner.
    unsafe {
        selector.register_raw(raw(one.as_raw_fd()), Events::READ, ()).unwrap();
        selector.register_raw(raw(two.as_raw_fd()), Events::WRITE, ()).unwrap();
    }
    (selector, one, two)
}

pub fn unregister_after_fd_close<B: Kernel, M: Table>() {
    let (mut selector, one, two) = raw_pair::<B, M>();
    let (r, w) = (one.as_raw_fd(), two.as_raw_fd());
    drop((one, two));
    assert_eq!(selector.unregister(r).unwrap().fd, r);
    assert_eq!(selector.unregister(w).unwrap().fd, w);
    agree(&selector);
}

#[cfg(unix)]
pub fn unregister_after_fd_close_and_reuse<B: Kernel, M: Table>() {
    let (mut selector, mut one, mut two) = raw_pair::<B, M>();
    let (r, w) = (one.as_raw_fd(), two.as_raw_fd());
    let (one2, two2) = pair();
    rustix::io::dup2(&one2, &mut one).unwrap();
    rustix::io::dup2(&two2, &mut two).unwrap();
    assert_eq!(selector.unregister(r).unwrap().fd, r);
    assert_eq!(selector.unregister(w).unwrap().fd, w);
    agree(&selector);
}

/// Safe code can't close a registered socket; with the key it gets it back, and
/// closes it then.
pub fn unregister_after_socket_close<B: Kernel, M: Table>() {
    let (one, two) = pair();
    let (r, w) = (one.as_raw_fd(), two.as_raw_fd());
    let mut selector = Selector::<B, _, _, M>::new().unwrap();
    selector.register(one, Events::READ, ()).unwrap();
    selector.register(two, Events::WRITE, ()).unwrap();
    drop(selector.unregister(r).unwrap());
    assert!(ready(&mut selector, SOON)[&w].contains(Events::WRITE));
    drop(selector.unregister(w).unwrap());
    agree(&selector);
}

pub fn modify<B: Kernel, M: Table>() {
    let (one, _two) = pair();
    let mut selector = Selector::<B, _, _, M>::new().unwrap();
    selector.register(&one, Events::READ, "d1").unwrap();
    selector.modify(&one, Events::WRITE).unwrap();
    assert_eq!(selector.get_key(&one).unwrap().events, Events::WRITE);
    agree(&selector);
    let _ = selector.unregister(&one).unwrap();

    selector.register(&one, Events::READ, "d1").unwrap();
    *selector.get_key_mut(&one).unwrap().data_mut() = "d2";
    let key = selector.get_key(&one).unwrap();
    assert_eq!((key.events, key.data), (Events::READ, "d2"));

    let unknown = selector.modify(UNKNOWN, Events::READ);
    assert_eq!(unknown.unwrap_err(), Error::NotRegistered { key: UNKNOWN.into() });
    selector.modify(&one, Events::READ).unwrap();
    assert_eq!(selector.get_key(&one).unwrap().data, "d2");
    agree(&selector);
}

/// `CPython` unregisters after a failed `modify`; here all is as it was.
pub fn modify_unregister<B: Kernel, M: Table>() {
    let (mut selector, one, two) = raw_pair::<B, M>();
    let fd = one.as_raw_fd();
    drop(one);
    let refused = selector.modify(fd, Events::WRITE).unwrap_err();
    assert_eq!(refused.errno(), Some(Errno::BADF));
    assert_eq!(selector.get_map().len(), 2);
    assert_eq!(selector.get_key(fd).unwrap().events, Events::READ);
    let reported = ready(&mut selector, SOON);
    assert_eq!(reported.keys().collect::<Vec<_>>(), [&two.as_raw_fd()]);
}

/// What cannot be written, using a closed selector, is a test in the
/// documentation of `Selector`.
pub fn close<B: Kernel, M: Table>() {
    let (one, mut two) = pair();
    let mut selector = Selector::<B, _, _, M>::new().unwrap();
    selector.register(one, Events::READ, ()).unwrap();
    selector.close();
    assert_eq!(two.read(&mut [0]).unwrap(), 0, "the selector's end is closed");
}

pub fn get_key<B: Kernel, M: Table>() {
    let (one, _two) = pair();
    let mut selector = Selector::<B, _, _, M>::new().unwrap();
    let key = *selector.register(one.as_fd(), Events::READ, "data").unwrap();
    let got = selector.get_key(&one).unwrap();
    assert_eq!((got.fd, got.events, got.mode, got.data), (key.fd, key.events, key.mode, key.data));
    assert_eq!(selector.get_key(one.as_raw_fd()).unwrap().data, "data");
    assert!(selector.get_key(UNKNOWN).is_none());
}

pub fn get_map<B: Kernel, M: Table>() {
    let (one, _two) = pair();
    let fd = one.as_raw_fd();
    let mut selector = Selector::<B, _, _, M>::new().unwrap();
    let keys = selector.get_map();
    assert_eq!((keys.is_empty(), keys.len(), keys.iter().count()), (true, 0, 0));
    assert!(keys.get(&one).is_none());

    selector.register(&one, Events::READ, "data").unwrap();
    let keys = selector.get_map();
    assert!(keys.contains(&one));
    assert_eq!((keys.is_empty(), keys.len()), (false, 1));
    assert_eq!((keys.get(&one).unwrap().fd, keys.get(fd).unwrap().data), (fd, "data"));
    assert_eq!(keys.iter().map(|key| (key.fd, key.data)).collect::<Vec<_>>(), [(fd, "data")]);
    assert!(keys.get(UNKNOWN).is_none());
}

pub fn select<B: Kernel, M: Table>() {
    let (one, two) = pair();
    let mut selector = Selector::<B, _, _, M>::new().unwrap();
    selector.register(&one, Events::READ, ()).unwrap();
    selector.register(&two, Events::WRITE, ()).unwrap();
    assert_eq!(ready(&mut selector, None), [(two.as_raw_fd(), Events::WRITE)].into());
}

pub fn select_read_write<B: Kernel, M: Table>() {
    let (one, mut two) = pair();
    two.write_all(b"foo").unwrap();
    let mut selector = Selector::<B, _, _, M>::new().unwrap();
    selector.register(&one, Events::READ | Events::WRITE, ()).unwrap();
    assert_eq!(
        ready(&mut selector, None),
        [(one.as_raw_fd(), Events::READ | Events::WRITE)].into()
    );
}

pub fn context_manager<B: Kernel, M: Table>() {
    let (one, mut two) = pair();
    {
        let mut selector = Selector::<B, _, _, M>::new().unwrap();
        selector.register(one, Events::READ, ()).unwrap();
    }
    assert_eq!(two.read(&mut [0]).unwrap(), 0, "the selector's end is closed");
}

#[cfg(unix)]
pub fn fileno<B: Kernel, M: Table>() {
    let selector = Selector::<B, OwnedFd, (), M>::new().unwrap();
    let Some(fd) = B::fileno(&selector) else {
        assert!(B::KIND.is_none_or(|kind| matches!(kind, Kind::Poll | Kind::Select)));
        return;
    };
    assert!(fd.as_raw_fd() >= 0);
    assert!(rustix::io::fcntl_getfd(fd).unwrap().contains(rustix::io::FdFlags::CLOEXEC));
}

pub fn selector<B: Kernel, M: Table>() {
    let pairs: Vec<(UnixStream, UnixStream)> = (0..12).map(|_| pair()).collect();
    let mut selector = Selector::<B, _, _, M>::new().unwrap();
    for (number, (reader, writer)) in pairs.iter().enumerate() {
        selector.register(reader, Events::READ, number).unwrap();
        selector.register(writer, Events::WRITE, number).unwrap();
    }
    for left in (1..=pairs.len()).rev() {
        let ready_writers = ready(&mut selector, SOON);
        assert_eq!(ready_writers.len(), left);
        assert!(ready_writers.values().all(|events| *events == Events::WRITE));
        let chosen = *ready_writers.keys().nth(left / 2).unwrap();
        let number = selector.get_key(chosen).unwrap().data;
        let (mut reader, mut writer) = (&pairs[number].0, &pairs[number].1);
        writer.write_all(b" This is a test.").unwrap();

        selector.select(SOON).unwrap();
        let mut read = Vec::new();
        while let Some((key, events)) = selector.next_ready() {
            if events.contains(Events::READ) {
                read.push(key.data);
                let mut buffer = [0; 16];
                reader.read_exact(&mut buffer).unwrap();
                assert_eq!(&buffer, b" This is a test.");
                let _ = selector.unregister(reader).unwrap();
                let _ = selector.unregister(writer).unwrap();
            }
        }
        assert_eq!(read, [number]);
        agree(&selector);
    }
    assert!(selector.get_map().is_empty());
}

pub fn empty_select<B: Kernel, M: Table>() {
    let mut selector = Selector::<B, OwnedFd, (), M>::new().unwrap();
    assert_eq!(selector.select(NOW).unwrap().events(), 0);
    assert!(selector.next_ready().is_none());
}

/// A negative timeout cannot be written.
pub fn timeout<B: Kernel, M: Table>() {
    let (one, two) = pair();
    let mut selector = Selector::<B, _, _, M>::new().unwrap();
    selector.register(&two, Events::WRITE, ()).unwrap();
    let start = Instant::now();
    assert_eq!(ready(&mut selector, NOW).len(), 1);
    let _ = selector.unregister(&two).unwrap();
    selector.register(&one, Events::READ, ()).unwrap();
    assert_eq!(ready(&mut selector, NOW).len(), 0);
    assert!(start.elapsed() < LATE);

    let start = Instant::now();
    assert_eq!(ready(&mut selector, Some(TIMEOUT)).len(), 0);
    assert!((TIMEOUT..LATE).contains(&start.elapsed()), "{:?}", start.elapsed());
}

/// A handler that raises has no counterpart; one that wakes the selector ends
/// the loop as well.
#[cfg(unix)]
pub fn select_interrupt_exc<B: Kernel, M: Table>() {
    let (one, _two) = pair();
    let mut selector = Selector::<B, _, _, M>::new().unwrap();
    selector.register(&one, Events::READ, ()).unwrap();
    let cell: &'static M::Wake = Box::leak(Box::new(M::cell()));
    selector.waker_in(cell.clone()).unwrap();
    let start = Instant::now();
    let reported = interrupt(Some(&**cell), || {
        loop {
            match selector.select(SOON) {
                Ok(result) if result.interrupted() && start.elapsed() < LATE => {}
                outcome => break outcome,
            }
        }
    });
    assert_eq!(reported.woken_and(), Ok(0));
    assert!(selector.next_ready().is_none());
    assert!(start.elapsed() < LATE);
}

/// `CPython` waits on after a signal whose handler raises nothing; here the
/// wait ends early.
#[cfg(unix)]
pub fn select_interrupt_noraise<B: Kernel, M: Table>() {
    let (one, _two) = pair();
    let mut selector = Selector::<B, _, _, M>::new().unwrap();
    selector.register(&one, Events::READ, ()).unwrap();
    let start = Instant::now();
    let reported = interrupt(None, || selector.select(SOON));
    assert!(
        reported.is_ok_and(|result| result.interrupted()
            && result.events() == 0
            && !result.timed_out())
    );
    assert!(selector.next_ready().is_none());
    assert!(start.elapsed() < LATE);
}

/// As many descriptors as the limit allows: in
/// `tests/stress/many_descriptors.rs`, where a test has a process of its own.
#[cfg(unix)]
pub fn above_fd_setsize<B: Kernel, M: Table>() {
    let mut selector = Selector::<B, _, _, M>::new().unwrap();
    let mut writers = BTreeSet::new();
    let count = M::CAPACITY.unwrap_or(1000);
    let Some(_reserved) = needs::descriptors(1024 + count) else { return };
    for _ in 0..count / 2 {
        let (one, two) = pair();
        let (Some(one), Some(two)) = (beyond_select(one), beyond_select(two)) else { return };
        let fd = two.as_raw_fd();
        if selector.kind() == Kind::Select {
            let refused = selector.register(two, Events::WRITE, ()).unwrap_err();
            assert_eq!(refused, Error::FdOutOfRange { fd, limit: 1024 });
            continue;
        }
        writers.insert(fd);
        selector.register(one, Events::READ, ()).unwrap();
        selector.register(two, Events::WRITE, ()).unwrap();
    }
    agree(&selector);
    if writers.is_empty() {
        return;
    }
    let mut reported: BTreeSet<RawFd> = ready(&mut selector, SOON).into_keys().collect();
    let calls = writers.len().div_ceil(reported.len());
    assert!(calls == 1 || selector.kind() != Kind::Poll);
    for _ in 1..calls {
        reported.extend(ready(&mut selector, SOON).into_keys());
    }
    assert_eq!(reported, writers);
}

#[cfg(unix)]
pub fn register_file<B: Kernel, M: Table>() {
    let file = File::open(std::env::current_exe().unwrap()).unwrap();
    let mut selector = Selector::<B, _, _, M>::new().unwrap();
    if selector.kind() == Kind::Epoll {
        let refused = selector.register(&file, Events::READ, ()).unwrap_err();
        assert_eq!(refused.errno(), Some(Errno::PERM));
        assert!(selector.get_key(&file).is_none());
    } else {
        selector.register(&file, Events::READ, ()).unwrap();
        assert_eq!(ready(&mut selector, SOON), [(file.as_raw_fd(), Events::READ)].into());
    }
}

pub fn register_bad_fd<B: Kernel, M: Table>() {
    let closed = apart(pair().0).as_raw_fd();
    let mut selector = Selector::<B, _, _, M>::new().unwrap();
    // SAFETY: nothing is open at this number.
    let refused = unsafe { selector.register_raw(raw(closed), Events::READ, ()) }.unwrap_err();
    assert_eq!(refused.errno(), Some(Errno::BADF));
    assert!(selector.get_key(closed).is_none());
    agree(&selector);
}

pub fn empty_select_timeout<B: Kernel, M: Table>() {
    let mut selector = Selector::<B, OwnedFd, (), M>::new().unwrap();
    let start = Instant::now();
    assert_eq!(selector.select(Some(TIMEOUT)).unwrap().events(), 0);
    assert!((TIMEOUT..LATE).contains(&start.elapsed()), "{:?}", start.elapsed());
}
