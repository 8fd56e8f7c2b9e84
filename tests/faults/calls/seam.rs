//! A backend between selector and kernel refuses.

use std::cell::Cell;
use std::io::Write;
use std::os::fd::AsRawFd;

use rustix::io::Errno;
use selectors_core::backend::{Backend, Epoll, Poll, Select};
use selectors_core::storage::Fixed;
use selectors_core::{Error, Events, Mode};
use selectors_std::Growable;

use super::kernel::{names, os};
use super::layer::{Layer, Layered};
use super::{Cells, ERRNOS, NOW, Table, Watching, agree, found, opened, pair, ready};

thread_local! {
    /// Which call is refused, once, and with what.
    static NEXT: Cell<Option<(&'static str, Errno)>> = const { Cell::new(None) };
}

struct Refuses;

impl Layer for Refuses {
    fn before(call: &'static str) -> Result<(), Error> {
        match NEXT.get() {
            Some((one, errno)) if one == call => {
                NEXT.set(None);
                Err(Error::Os { call, fd: None, errno, file: None })
            }
            _ => Ok(()),
        }
    }
}

type Refusing<B> = Layered<B, Refuses>;

fn one<B: Backend, M: Table>(errno: Errno) {
    let error = |call| Error::Os { call, fd: None, errno, file: None };
    let next = |call| NEXT.set(Some((call, errno)));
    next("new");
    assert_eq!(Watching::<Refusing<B>, M>::new().map(|_| ()), Err(error("new")));
    let (mut selector, own) = opened::<Refusing<B>, M>();
    let (stream, mut peer) = pair();
    let fd = stream.as_raw_fd();

    next("add");
    let refused = selector.try_register(stream, Events::READ, 7).unwrap_err();
    assert_eq!((refused.error, refused.fileobj.as_raw_fd(), refused.data), (error("add"), fd, 7));
    agree(&selector, own, &[], 0);
    selector.register(refused.fileobj, Events::READ.one_shot(), 7).unwrap();

    peer.write_all(b"!").unwrap();
    next("wait");
    let refused = os(names(selector.kind()).wait.1, None, errno);
    let expected = if errno == Errno::INTR { Ok(true) } else { Err(refused) };
    assert_eq!(selector.select(NOW).map(|result| result.interrupted()), expected);
    assert!(selector.next_ready().is_none());
    next("modify");
    assert_eq!(selector.modify(fd, Events::WRITE), Err(error("modify")));
    agree(&selector, own, &[(fd, Events::READ, Mode::OneShot)], 0);
    assert_eq!(ready(&mut selector), [(fd, Events::READ)].into());
    // A one-shot that has fired stays disarmed.
    next("modify");
    assert_eq!(selector.modify(fd, Events::WRITE), Err(error("modify")));
    assert!(ready(&mut selector).is_empty());
    selector.modify(fd, Events::WRITE).unwrap();
    assert_eq!(ready(&mut selector), [(fd, Events::WRITE)].into());

    next("add");
    let cell = M::cell();
    assert_eq!(selector.waker_in(cell.clone()).map(|_| ()), Err(error("add")));
    let waker = selector.waker_in(cell).unwrap();
    waker.wake().unwrap();
    assert_eq!(found(selector.select(NOW)), Ok((1, true)));
    agree(&selector, own, &[(fd, Events::WRITE, Mode::Level)], 1);
    assert_eq!(selector.unregister(fd).unwrap().data, 7);
    agree(&selector, own, &[], 1);
    assert_eq!(NEXT.get(), None);
}

pub(crate) fn all(cells: &mut Cells) {
    type Few = Fixed<8>;
    for errno in ERRNOS {
        one::<Epoll, Few>(errno);
        one::<Poll<Few>, Few>(errno);
        one::<Select<Few>, Few>(errno);
        one::<Epoll, Growable>(errno);
        one::<Poll<Growable>, Growable>(errno);
        one::<Select<Growable>, Growable>(errno);
        for backend in ["epoll", "poll", "select"] {
            for call in ["new", "add", "wait", "modify", "modify, fired", "waker: add"] {
                for table in ["fixed", "growable"] {
                    cells.ran(&format!("{backend}, {table}, seam"), call);
                }
            }
        }
    }
}
