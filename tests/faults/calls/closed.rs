//! The wait is refused while keys are disarmed because their descriptors were
//! closed. The `select` call returns `EBADF` for a closed descriptor, so that
//! the error number alone does not show that there is one.

use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use rustix::io::{Errno, fcntl_dupfd_cloexec};
use selectors_core::Selector;
use selectors_core::backend::{Backend, Epoll, Poll, Select};
use selectors_core::storage::Fixed;
use selectors_std::Growable;

use super::kernel::{IN, LEVEL, OUT, names, os, under};
use super::{Cells, ERRNOS, NOW, Table, pair};

type Watching<B, M> = Selector<B, RawFd, &'static str, M>;

fn reported<B: Backend, M: Table>(selector: &mut Watching<B, M>) -> Vec<&'static str> {
    selector.select(NOW).unwrap();
    let mut all = Vec::new();
    while let Some((key, _events)) = selector.next_ready() {
        all.push(key.data);
    }
    all.sort_unstable();
    all
}

#[allow(unsafe_code, reason = "descriptors that are closed while they are watched")]
fn wait<B: Backend + Send, M: Table>(errno: Errno)
where
    Watching<B, M>: Send,
{
    let mut selector = Watching::<B, M>::new().unwrap();
    let (fired, armed, open) = (pair(), pair(), pair());
    // At these numbers nothing else is opened, and they are below the lowest
    // usual limit.
    let apart = |stream| -> OwnedFd { fcntl_dupfd_cloexec(&stream, 200).unwrap() };
    let (fired, armed) = (apart(fired.0), apart(armed.0));
    let watched = [
        (fired.as_raw_fd(), OUT.one_shot(), "fired"),
        (armed.as_raw_fd(), IN.with_mode(LEVEL), "armed"),
    ];
    for (fd, interest, data) in
        watched.into_iter().chain([(open.0.as_raw_fd(), OUT.one_shot(), "open")])
    {
        // SAFETY: the last one stays open. The others are closed below, and
        // nothing else gets their numbers.
        unsafe { selector.register_raw(fd, interest, data) }.unwrap();
    }
    assert_eq!(reported(&mut selector), ["fired", "open"]);
    drop((fired, armed));
    assert!(reported(&mut selector).is_empty());

    // An event that could be lost.
    let (kind, open) = (selector.kind(), open.0.as_raw_fd());
    selector.modify(open, OUT.one_shot()).unwrap();
    let (call, name) = names(kind).wait;
    let result = under(call, errno, || selector.select(NOW));
    let interrupted = result.map(|result| result.interrupted() && result.events() == 0);
    assert_eq!(
        interrupted,
        if errno == Errno::INTR { Ok(true) } else { Err(os(name, None, errno)) }
    );
    assert!(selector.next_ready().is_none());
    assert_eq!(reported(&mut selector), ["open"]);
    for (fd, _, data) in watched {
        assert_eq!(selector.unregister(fd).unwrap().data, data);
    }
}

pub(crate) fn all(cells: &mut Cells) {
    type Few = Fixed<8>;
    for errno in ERRNOS {
        wait::<Epoll, Few>(errno);
        wait::<Poll<Few>, Few>(errno);
        wait::<Select<Few>, Few>(errno);
        wait::<Epoll, Growable>(errno);
        wait::<Poll<Growable>, Growable>(errno);
        wait::<Select<Growable>, Growable>(errno);
        for backend in ["epoll", "poll", "select"] {
            for table in ["fixed", "growable"] {
                cells.ran(&format!("{backend}, {table}"), "wait: with closed keys");
            }
        }
    }
}
