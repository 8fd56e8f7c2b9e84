//! `register(fileobj, events, data)`

use crate::support::UnixStream;
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::cell::Cell;
#[cfg(unix)]
use std::fs::File;

use rustix::io::Errno;
use selectors_core::{Error, Events, FileKind, Kind, Mode, RegisterError, Selector};

use crate::needs;
use crate::support::{
    Found, Kernel, NOW, SOON, Table, agree, agree_with_wakers, apart, beyond_select, dup, pair,
    raw, ready,
};

pub fn returns_the_key<B: Kernel, M: Table>() {
    let (one, two) = pair();
    let mut selector = Selector::<B, _, _, M>::new().unwrap();
    for (source, events) in [(&one, Events::READ), (&two, Events::READ | Events::WRITE)] {
        let key = selector.register(source, events, 7).unwrap();
        assert_eq!(
            (key.fileobj.as_raw_fd(), key.fd, key.events, key.mode, key.data),
            (source.as_raw_fd(), source.as_raw_fd(), events, Mode::Level, 7)
        );
        agree(&selector);
    }
}

/// If the descriptor is wrong as well, the error is about the events.
pub fn refuses_events_that_cannot_be_requested<B: Kernel, M: Table>() {
    let (one, _two) = pair();
    let registered = one.as_raw_fd();
    let closed = apart(&one).as_raw_fd();
    let mut selector = Selector::<B, _, _, M>::new().unwrap();
    // SAFETY: `one` is open until the end; at the other numbers nothing is
    // open.
    unsafe {
        selector.register_raw(raw(registered), Events::READ, 0).unwrap();
        let bits = (0..16).map(|bit| 1 << bit).filter(|bit| bit & 0x2007 == 0);
        for bits in bits.flat_map(|bit| [bit, bit | 1, bit | 0b110]).chain([0, u16::MAX]) {
            let events = Events::from_bits_retain(bits);
            for fd in [registered, closed, !0, RawFd::MAX] {
                let refused = selector.register_raw(raw(fd), events, bits).unwrap_err();
                assert_eq!(refused, Error::InvalidEvents { events });
            }
        }
    }
    assert_eq!(selector.get_map().len(), 1);
    agree(&selector);
}

#[cfg(unix)]
pub fn refuses_negative_numbers<B: Kernel, M: Table>() {
    let mut selector = Selector::<B, _, _, M>::new().unwrap();
    for fd in [-1, -10, RawFd::MIN] {
        // SAFETY: a negative number is no descriptor.
        let refused = unsafe { selector.register_raw(raw(fd), Events::READ, ()) }.unwrap_err();
        assert_eq!(refused, Error::InvalidFd { fd });
        assert!(refused.to_string().contains(&fd.to_string()));
    }
    agree(&selector);

    // Safe code has one: the number that stands for the working directory.
    let (one, _two) = pair();
    let cwd = rustix::fs::CWD;
    let fd = cwd.as_raw_fd();
    let mut selector = Selector::<B, _, _, M>::new().unwrap();
    for events in [Events::READ, Events::WRITE, Events::READ | Events::WRITE] {
        let refused = selector.try_register(cwd, events, "cwd").unwrap_err();
        assert_eq!((refused.error, refused.data), (Error::InvalidFd { fd }, "cwd"));
        assert_eq!(refused.fileobj.as_raw_fd(), fd);
    }
    assert!(selector.get_map().is_empty() && selector.get_key(&cwd).is_none());
    assert_eq!(selector.modify(&cwd, Events::READ), Err(Error::NotRegistered { key: fd.into() }));
    selector.register(one.as_fd(), Events::WRITE, "one").unwrap();
    assert_eq!(selector.select(SOON).events(), Ok(1));
    agree(&selector);
}

/// One descriptor, seen in two ways.
#[derive(Debug)]
enum Seen<'a> {
    Object(&'a UnixStream),
    Number(RawFd),
}

impl AsRawFd for Seen<'_> {
    fn as_raw_fd(&self) -> RawFd {
        match self {
            Seen::Object(stream) => stream.as_raw_fd(),
            Seen::Number(fd) => *fd,
        }
    }
}

pub fn refuses_what_is_registered<B: Kernel, M: Table>() {
    let (one, _two) = pair();
    let fd = one.as_raw_fd();
    let mut selector = Selector::<B, _, _, M>::new().unwrap();
    // SAFETY: `one` is open until the end.
    unsafe {
        selector.register_raw(Seen::Object(&one), Events::READ, "first").unwrap();
        for again in [Seen::Object(&one), Seen::Number(fd)] {
            let refused = selector.register_raw(again, Events::WRITE, "again").unwrap_err();
            assert_eq!(refused, Error::AlreadyRegistered { fd });
            assert!(refused.to_string().contains(&fd.to_string()));
        }
    }
    let key = selector.get_key(fd).unwrap();
    assert_eq!((key.events, key.data), (Events::READ, "first"));
    agree(&selector);
}

pub fn a_duplicate_is_another_descriptor<B: Kernel, M: Table>() {
    let (one, two) = pair();
    let mut selector = Selector::<B, _, _, M>::new().unwrap();
    let numbers = [0, 1].map(|number| {
        selector
            .register(dup(&one).unwrap(), Events::WRITE.with_mode(Mode::Level), number)
            .unwrap()
            .fd
    });
    agree(&selector);
    assert_eq!(ready(&mut selector, SOON).into_keys().collect::<Vec<_>>(), sorted(numbers));
    drop((one, two));
}

fn sorted<const N: usize>(mut numbers: [RawFd; N]) -> [RawFd; N] {
    numbers.sort_unstable();
    numbers
}

/// A source that notes when it is dropped.
#[derive(Debug)]
struct Counted<'a> {
    fd: OwnedFd,
    drops: &'a Cell<u32>,
}

impl AsFd for Counted<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.drops.set(self.drops.get() + 1);
    }
}

/// Says why a registration was refused, having seen that source and data came
/// back unharmed.
fn why<S: AsFd, D>(
    refused: RegisterError<S, D>,
    number: RawFd,
    drops: &Cell<u32>,
) -> (Error, String, D) {
    assert_eq!((refused.fileobj.as_fd().as_raw_fd(), drops.get()), (number, 0));
    assert!(dup(refused.fileobj.as_fd()).is_ok());
    let text = refused.to_string();
    (refused.error, text, refused.data)
}

/// Run with tables of several sizes; a growing one is never full.
pub fn full<B: Kernel, M: Table>() {
    let Some(capacity) = M::CAPACITY else { return };
    let Some(_reserved) = needs::descriptors(capacity + 4) else { return };
    let (one, _two) = pair();
    let (drops, refused) = (Cell::new(0), Cell::new(0));
    let mut selector = Selector::<B, _, _, M>::new().unwrap();
    for number in 0..capacity {
        let source = Counted { fd: dup(&one).unwrap(), drops: &drops };
        selector.register(source, Events::WRITE, number).unwrap();
    }
    agree(&selector);

    let late = Counted { fd: dup(&one).unwrap(), drops: &refused };
    let number = late.as_fd().as_raw_fd();
    let error = selector.try_register(late, Events::READ, capacity).unwrap_err();
    let (error, text, data) = why(error, number, &refused);
    assert_eq!((error, data), (Error::Full { capacity }, capacity));
    assert!(text.contains(&capacity.to_string()), "{text}");
    assert_eq!((selector.get_map().len(), drops.get()), (capacity, 0));
    agree(&selector);

    // Any slot that is freed can be used again.
    for place in [0, capacity / 2, capacity - 1] {
        let fd = selector.get_map().iter().nth(place).unwrap().fd;
        let source = selector.unregister(fd).unwrap().fileobj;
        agree(&selector);
        selector.register(source, Events::READ | Events::WRITE, place).unwrap();
        assert_eq!(selector.get_map().len(), capacity);
        agree(&selector);
    }
    assert_eq!(ready(&mut selector, SOON).len(), capacity);
}

/// The kernel, if it were called first, would say that the descriptor is
/// closed.
pub fn full_is_found_before_a_system_call<B: Kernel, M: Table>() {
    let Some(capacity) = M::CAPACITY else { return };
    let Some(_reserved) = needs::descriptors(capacity + 4) else { return };
    let (one, _two) = pair();
    let held: Vec<OwnedFd> = (0..capacity).map(|_| dup(&one).unwrap()).collect();
    let closed = apart(&one).as_raw_fd();
    let mut selector = Selector::<B, _, _, M>::new().unwrap();
    // SAFETY: `held` lives longer than the selector's use; nothing is open at
    // the other numbers.
    unsafe {
        for fd in &held {
            selector.register_raw(raw(fd.as_raw_fd()), Events::READ, ()).unwrap();
        }
        for fd in [closed, RawFd::MAX - 1] {
            let refused = selector.register_raw(raw(fd), Events::READ, ()).unwrap_err();
            assert_eq!(refused, Error::Full { capacity });
        }
    }
}

pub fn a_waker_uses_a_slot<B: Kernel, M: Table>() {
    let Some(capacity) = M::CAPACITY else { return };
    let Some(_reserved) = needs::descriptors(capacity + 4) else { return };
    let (one, _two) = pair();
    let mut selector = Selector::<B, _, _, M>::new().unwrap();
    let waker = selector.waker_in(M::cell()).unwrap();
    for number in 1..capacity {
        selector.register(dup(&one).unwrap(), Events::READ, number).unwrap();
    }
    let refused = selector.register(dup(&one).unwrap(), Events::READ, capacity).unwrap_err();
    assert_eq!(refused, Error::Full { capacity });
    assert_eq!(selector.get_map().len(), capacity - 1);
    agree_with_wakers(&selector, 1);
    waker.wake().unwrap();
    assert_eq!(selector.select(SOON).woken_and(), Ok(0));
    drop(selector);

    let cell = M::cell();
    let mut selector = Selector::<B, _, _, M>::new().unwrap();
    for number in 0..capacity {
        selector.register(dup(&one).unwrap(), Events::READ, number).unwrap();
    }
    assert_eq!(selector.waker_in(cell.clone()).unwrap_err(), Error::Full { capacity });
    agree(&selector);
    let fd = selector.get_map().iter().next().unwrap().fd;
    let _ = selector.unregister(fd).unwrap();
    selector.waker_in(cell).unwrap();
    agree_with_wakers(&selector, 1);
}

#[cfg(unix)]
pub fn beyond_the_limit_of_select<B: Kernel, M: Table>() {
    let (one, _two) = pair();
    let drops = Cell::new(0);
    let Some(fd) = beyond_select(&one) else { return };
    let number = fd.as_raw_fd();
    let mut selector = Selector::<B, _, _, M>::new().unwrap();
    let result = selector.try_register(Counted { fd, drops: &drops }, Events::WRITE, "far");
    let refused = match result {
        Err(refused) => refused,
        Ok(_) => {
            assert_ne!(selector.kind(), Kind::Select);
            assert_eq!(ready(&mut selector, SOON), [(number, Events::WRITE)].into());
            return;
        }
    };
    assert_eq!(selector.kind(), Kind::Select);
    let (error, text, _) = why(refused, number, &drops);
    assert_eq!(error, Error::FdOutOfRange { fd: number, limit: 1024 });
    assert!(text.contains(&number.to_string()) && text.contains("1024"), "{text}");
    assert!(selector.get_map().is_empty());
    assert_eq!(selector.select(NOW).events(), Ok(0));
    // The limit itself: the first number that does not fit, and the last that
    // does. SAFETY: nothing is done with these numbers: one is refused, the
    // other found closed.
    unsafe {
        let mut selector = Selector::<B, _, _, M>::new().unwrap();
        let refused = selector.register_raw(1024, Events::READ, ()).unwrap_err();
        assert_eq!(refused, Error::FdOutOfRange { fd: 1024, limit: 1024 });
        let refused = selector.register_raw(RawFd::MAX, Events::READ, ()).unwrap_err();
        assert_eq!(refused, Error::FdOutOfRange { fd: RawFd::MAX, limit: 1024 });
    }
}

#[cfg(unix)]
pub fn the_last_number_for_select<B: Kernel, M: Table>() {
    let (one, _two) = pair();
    if !needs::number(1023) {
        return;
    }
    let Ok(last) = rustix::io::fcntl_dupfd_cloexec(&one, 1023) else { return };
    if last.as_raw_fd() == 1023 {
        let mut selector = Selector::<B, _, _, M>::new().unwrap();
        selector.register(last, Events::WRITE, ()).unwrap();
        assert_eq!(ready(&mut selector, SOON), [(1023, Events::WRITE)].into());
    }
}

pub fn refuses_a_closed_descriptor<B: Kernel, M: Table>() {
    let (one, two) = pair();
    let closed = apart(&one).as_raw_fd();
    let mut selector = Selector::<B, _, _, M>::new().unwrap();
    // SAFETY: `two` is open until the end; nothing is open at the other number.
    unsafe {
        selector.register_raw(raw(two.as_raw_fd()), Events::WRITE, "open").unwrap();
        let refused = selector.register_raw(raw(closed), Events::READ, "closed").unwrap_err();
        let Error::Os { call, fd, errno, .. } = refused else { panic!("{refused}") };
        assert_eq!((fd, errno), (Some(closed), Errno::BADF));
        let text = refused.to_string();
        assert!(text.contains(call) && text.contains(&closed.to_string()), "{text}");
    }
    assert_eq!(selector.get_map().len(), 1);
    agree(&selector);
    assert_eq!(ready(&mut selector, SOON), [(two.as_raw_fd(), Events::WRITE)].into());
}

/// epoll refuses it; elsewhere it is always ready.
#[cfg(unix)]
pub fn a_regular_file<B: Kernel, M: Table>() {
    let (one, _two) = pair();
    let drops = Cell::new(0);
    let file = File::open(std::env::current_exe().unwrap()).unwrap();
    let number = file.as_raw_fd();
    let mut selector = Selector::<B, _, _, M>::new().unwrap();
    let source = Counted { fd: file.into(), drops: &drops };
    let result = selector.try_register(source, Events::READ, "file");
    if let Err(refused) = result {
        assert_eq!(selector.kind(), Kind::Epoll);
        let (error, text, data) = why(refused, number, &drops);
        let file = Some(FileKind::Regular);
        assert_eq!(
            error,
            Error::Os { call: "epoll_ctl", fd: Some(number), errno: Errno::PERM, file }
        );
        assert!(text.contains("epoll_ctl") && text.contains(&number.to_string()), "{text}");
        assert_eq!(data, "file");
        assert!(selector.get_map().is_empty());
        agree(&selector);
    } else {
        assert_ne!(selector.kind(), Kind::Epoll);
        for _ in 0..3 {
            assert_eq!(ready(&mut selector, SOON), [(number, Events::READ)].into());
        }
    }
    // The slot that was not used is free for others.
    let source = Counted { fd: one.into(), drops: &drops };
    selector.register(source, Events::WRITE, "socket").unwrap();
    agree(&selector);
}

/// epoll does not watch itself, or selectors that watch each other in a circle
/// or are nested too deeply.
#[cfg(unix)]
pub fn selectors_in_selectors<B: Kernel, M: Table>() {
    let new = || Selector::<B, OwnedFd, (), M>::new().unwrap();
    let own = |selector: &Selector<B, OwnedFd, (), M>| Some(dup(B::fileno(selector)?).unwrap());
    let mut nest = vec![new()];
    let Some(itself) = own(&nest[0]) else {
        return assert!(B::KIND.is_none_or(|kind| matches!(kind, Kind::Poll | Kind::Select)));
    };
    if nest[0].kind() == Kind::Epoll {
        let refused = nest[0].register(itself, Events::READ, ()).unwrap_err();
        assert_eq!(refused.errno(), Some(Errno::INVAL));
        agree(&nest[0]);
    }
    let refused = loop {
        let mut outer = new();
        let inner = own(nest.last().unwrap()).unwrap();
        if let Err(refused) = outer.register(inner, Events::READ, ()) {
            agree(&outer);
            break refused;
        }
        agree(&outer);
        nest.push(outer);
        if nest[0].kind() != Kind::Epoll && nest.len() > 3 {
            return;
        }
    };
    assert_eq!(refused.errno(), Some(Errno::LOOP));
    assert!(nest.len() > 2);
    let outermost = own(&nest[1]).unwrap();
    let circle = nest[0].register(outermost, Events::READ, ()).unwrap_err();
    assert_eq!(circle.errno(), Some(Errno::LOOP));
    agree(&nest[0]);

    // What is ready inside is reported outside.
    let (one, _two) = pair();
    nest[0].register(one.into(), Events::WRITE, ()).unwrap();
    let outermost = nest.last_mut().unwrap();
    assert_eq!(ready(outermost, SOON).len(), 1);
}
