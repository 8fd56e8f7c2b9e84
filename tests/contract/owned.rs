//! What a selector owns: the kinds of sources, and the order in which all is
//! closed.

use crate::support::UnixStream;
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::cell::{Cell, RefCell};
#[cfg(unix)]
use std::fs::File;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;

use selectors_core::{Error, Events, Kind, Selector};

use crate::needs;
use crate::support::{Kernel, SOON, Table, agree, pair, ready};

/// The source goes through a selector and comes out again.
fn watched<B: Kernel, M: Table, S: AsFd>(source: S) -> S {
    let fd = source.as_fd().as_raw_fd();
    let mut selector = Selector::<B, _, _, M>::new().unwrap();
    assert_eq!(selector.register(source, Events::WRITE, ()).unwrap().fd, fd);
    agree(&selector);
    assert_eq!(ready(&mut selector, SOON), [(fd, Events::WRITE)].into());
    selector.unregister(fd).unwrap().fileobj
}

enum Source {
    Listener(TcpListener),
    Peer(TcpStream),
}

impl AsFd for Source {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Source::Listener(listener) => listener.as_fd(),
            Source::Peer(peer) => peer.as_fd(),
        }
    }
}

pub fn every_kind_of_source<B: Kernel, M: Table>() {
    let (one, two) = pair();
    let one = Rc::new(watched::<B, M, _>(one));
    let two = Arc::new(watched::<B, M, _>(OwnedFd::from(two)));
    watched::<B, M, Rc<UnixStream>>(one.clone());
    watched::<B, M, Arc<OwnedFd>>(two.clone());
    watched::<B, M, &UnixStream>(&one);
    watched::<B, M, BorrowedFd<'_>>(one.as_fd());
    #[cfg(unix)]
    watched::<B, M, Box<dyn AsFd + '_>>(Box::new(&*two));

    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let peer = watched::<B, M, TcpStream>(peer);
    watched::<B, M, Source>(Source::Peer(peer));

    let mut selector = Selector::<B, _, _, M>::new().unwrap();
    selector.register(Source::Listener(listener), Events::READ, ()).unwrap();
    selector.select(SOON).unwrap();
    let (key, _) = selector.next_ready().unwrap();
    let Source::Listener(listener) = &key.fileobj else { panic!("the other one") };
    let (peer, _) = listener.accept().unwrap();
    selector.register(Source::Peer(peer), Events::READ, ()).unwrap();
    agree(&selector);
}

/// A safe source may return another descriptor each time; nothing may depend on
/// that.
struct Liar {
    truth: UnixStream,
    lie: UnixStream,
    requested: Rc<Cell<u32>>,
}

impl AsFd for Liar {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.requested.set(self.requested.get() + 1);
        if self.requested.get() == 1 { self.truth.as_fd() } else { self.lie.as_fd() }
    }
}

pub fn as_fd_is_called_once<B: Kernel, M: Table>() {
    let (truth, lie) = pair();
    let (honest, _peer) = pair();
    let (fd, other) = (truth.as_raw_fd(), honest.as_raw_fd());
    let requested = Rc::new(Cell::new(0));
    let lies = Liar { truth, lie, requested: requested.clone() };
    let honest = Liar { truth: honest, lie: pair().0, requested: Rc::default() };
    let mut selector = Selector::<B, _, _, M>::new().unwrap();
    assert_eq!(selector.register(lies, Events::READ, ()).unwrap().fd, fd);
    selector.register(honest, Events::WRITE, ()).unwrap();
    selector.modify(fd, Events::WRITE).unwrap();
    agree(&selector);
    assert_eq!(ready(&mut selector, SOON).into_keys().collect::<Vec<_>>(), {
        let mut both = [fd, other];
        both.sort_unstable();
        both
    });
    let _ = selector.unregister(fd).unwrap();
    agree(&selector);
    assert_eq!(requested.get(), 1);
    assert_eq!(ready(&mut selector, SOON), [(other, Events::WRITE)].into());
}

/// A source that looks, when it is dropped, whether a kernel object still
/// watches it.
struct Witness<'a> {
    fd: OwnedFd,
    selector: Option<RawFd>,
    watched: &'a RefCell<Vec<bool>>,
}

impl Witness<'_> {
    fn is_watched(&self) -> bool {
        // The selector's number may have a new file from another test, but no
        // other selector watches `fd`.
        let info = self
            .selector
            .map(|selector| std::fs::read_to_string(format!("/proc/self/fdinfo/{selector}")));
        let line = format!("tfd: {:8} ", self.fd.as_raw_fd());
        info.is_some_and(|info| info.is_ok_and(|info| info.contains(&line)))
    }
}

impl AsFd for Witness<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Drop for Witness<'_> {
    fn drop(&mut self) {
        self.watched.borrow_mut().push(self.is_watched());
    }
}

fn ends_in_order<B: Kernel, M: Table>(end: impl Fn(Selector<B, Witness<'_>, (), M>)) {
    let watched = RefCell::new(Vec::new());
    let mut selector = Selector::<B, Witness<'_>, (), M>::new().unwrap();
    let number = B::fileno(&selector).map(|fd| fd.as_raw_fd());
    let mut peers = Vec::new();
    for _ in 0..3 {
        let (one, two) = pair();
        peers.push(two);
        let source = Witness { fd: one.into(), selector: number, watched: &watched };
        selector.register(source, Events::WRITE, ()).unwrap();
    }
    let waker = selector.waker_in(M::cell()).unwrap();
    let epoll = selector.kind() == Kind::Epoll && number.is_some() && needs::fdinfo();
    assert!(selector.get_map().iter().all(|key| key.fileobj.is_watched() == epoll));
    // Its end comes while events are pending.
    selector.select(SOON).unwrap();
    let _ = selector.next_ready().unwrap();
    assert!(watched.borrow().is_empty());

    end(selector);
    assert_eq!(*watched.borrow(), [false; 3]);
    assert_eq!(waker.wake(), Err(Error::WakerClosed));
    for mut peer in peers {
        assert_eq!(peer.read(&mut [0]).unwrap(), 0, "the selector's end is closed");
    }
}

pub fn close_ends_in_order<B: Kernel, M: Table>() {
    ends_in_order::<B, M>(|selector| selector.close());
}

pub fn drop_ends_in_order<B: Kernel, M: Table>() {
    ends_in_order::<B, M>(|selector| drop(selector));
}

pub fn unregister_gives_the_source_back_open<B: Kernel, M: Table>() {
    let (one, two) = pair();
    let fd = one.as_raw_fd();
    let mut selector = Selector::<B, _, _, M>::new().unwrap();
    selector.register(one, Events::READ, String::from("data")).unwrap();
    let key = selector.unregister(fd).unwrap();
    selector.close();
    assert_eq!((key.fileobj.as_raw_fd(), key.fd, key.events), (fd, fd, Events::READ));
    assert_eq!(key.data, "data");
    (&two).write_all(b"!").unwrap();
    assert_eq!((&key.fileobj).read(&mut [0]).unwrap(), 1);
}

/// Notes that it is dropped, and panics if it is to do so.
struct Dropped<'a>(OwnedFd, &'a RefCell<Vec<&'static str>>, bool);

impl AsFd for Dropped<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Drop for Dropped<'_> {
    fn drop(&mut self) {
        self.1.borrow_mut().push("source");
        assert!(!self.2, "as a test of panics");
    }
}

/// The data of a key, whose end is noted.
struct Noted<'a>(&'a RefCell<Vec<&'static str>>);

impl Drop for Noted<'_> {
    fn drop(&mut self) {
        self.0.borrow_mut().push("data");
    }
}

/// What `register` could not register is dropped when table and kernel are as
/// they were, so that its `Drop` may panic. `try_register` drops nothing.
pub fn a_refused_source_is_dropped_last<B: Kernel, M: Table>() {
    let dropped = RefCell::new(Vec::new());
    let (one, two) = pair();
    let (fd, other) = (one.as_raw_fd(), two.as_raw_fd());
    let source = |fd: &OwnedFd, panics| Dropped(fd.try_clone().unwrap(), &dropped, panics);
    let (one, two) = (OwnedFd::from(one), OwnedFd::from(two));
    let mut selector = Selector::<B, _, _, M>::new().unwrap();
    selector.register(Dropped(two, &dropped, false), Events::WRITE, Noted(&dropped)).unwrap();
    let Err(refused) = selector.try_register(source(&one, false), Events::empty(), Noted(&dropped))
    else {
        panic!("no events")
    };
    assert!(dropped.borrow().is_empty(), "it is inside the error");
    assert_eq!(refused.error, Error::InvalidEvents { events: Events::empty() });
    drop(refused);
    assert_eq!(dropped.take(), ["source", "data"]);

    for panics in [false, true] {
        let result = catch_unwind(AssertUnwindSafe(|| {
            selector
                .register(source(&one, panics), Events::HANGUP, Noted(&dropped))
                .map(|key| key.fd)
        }));
        let invalid = Err(Error::InvalidEvents { events: Events::HANGUP });
        assert_eq!(result.ok(), if panics { None } else { Some(invalid) });
        assert_eq!(dropped.take(), ["source", "data"]);
        assert_eq!(selector.get_map().len(), 1);
        agree(&selector);
    }
    // The kernel refuses it, after the table had a slot for it.
    #[cfg(unix)]
    if selector.kind() == Kind::Epoll {
        let file = OwnedFd::from(File::open(std::env::current_exe().unwrap()).unwrap());
        let result = catch_unwind(AssertUnwindSafe(|| {
            selector
                .register(Dropped(file, &dropped, true), Events::READ, Noted(&dropped))
                .map(|key| key.fd)
        }));
        assert!(result.is_err());
        assert_eq!(
            (dropped.take().as_slice(), selector.get_map().len()),
            (&["source", "data"][..], 1)
        );
        agree(&selector);
    }
    selector.register(Dropped(one, &dropped, false), Events::WRITE, Noted(&dropped)).unwrap();
    assert_eq!(ready(&mut selector, SOON), [(fd, Events::WRITE), (other, Events::WRITE)].into());
    drop(selector);
    assert_eq!(dropped.take(), ["source", "data"].repeat(2));
}

/// The error of `register` holds neither source nor data, so `?` converts it to
/// any error type.
pub fn an_error_of_register_is_plain<B: Kernel, M: Table>() {
    fn boxed<B: Kernel, M: Table>(
        one: &UnixStream,
        data: &str,
    ) -> Result<(), Box<dyn std::error::Error>> {
        let mut selector = Selector::<B, _, _, M>::new()?;
        selector.register(Rc::new(one), Events::READ, Rc::new(data))?;
        selector.register(Rc::new(one), Events::READ, Rc::new(data))?;
        Ok(())
    }
    fn io<B: Kernel, M: Table>(one: &UnixStream) -> std::io::Result<()> {
        let mut selector = Selector::<B, _, _, M>::new()?;
        selector.register(one, Events::READ, ())?;
        selector.try_register(one, Events::READ, ())?;
        Ok(())
    }
    const fn plain<T: Copy + Send + Sync + std::error::Error + 'static>(_: &T) {}
    let (one, _two) = pair();
    let taken = Error::AlreadyRegistered { fd: one.as_raw_fd() };
    plain(&taken);
    let error = boxed::<B, M>(&one, &String::from("data")).unwrap_err();
    assert_eq!(error.downcast_ref(), Some(&taken));
    let error = io::<B, M>(&one).unwrap_err();
    assert_eq!(error.get_ref().and_then(|inner| inner.downcast_ref()), Some(&taken));
}

/// Its parameter may be sent to another thread: see the list of pairs.
pub const fn send<T: Send>() {}
