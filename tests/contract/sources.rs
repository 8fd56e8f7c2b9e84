//! `with_source`: exclusive access to a key's source, which may be replaced by
//! another.

use crate::support::UnixStream;
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::cell::Cell;
#[cfg(unix)]
use std::fs::File;
use std::io::{Read, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use rustix::io::Errno;
use selectors_core::{Error, Events, KeyId, Kind, Mode, Selector};

use crate::pauses::modes;
use crate::support::{Found, Kernel, NOW, SOON, Table, agree, pair, ready};

const READ: Events = Events::READ;
const WRITE: Events = Events::WRITE;

/// What a program may have as a source.
enum Source {
    Stream(Rc<UnixStream>),
    #[cfg(unix)]
    File(File),
    /// The number that stands for the working directory is negative, and safe
    /// code has it.
    #[cfg(unix)]
    Directory,
    /// Panics when its number is wanted.
    Panics(UnixStream),
}

impl AsFd for Source {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Stream(stream) => stream.as_fd(),
            #[cfg(unix)]
            Self::File(file) => file.as_fd(),
            #[cfg(unix)]
            Self::Directory => rustix::fs::CWD,
            Self::Panics(_) => panic!("as a test of panics"),
        }
    }
}

impl Source {
    fn new(stream: &Rc<UnixStream>) -> Self {
        Self::Stream(Rc::clone(stream))
    }
}

type Sources<B, M> = Selector<B, Source, &'static str, M>;

/// A pair whose first end is shared, so that it stays open when a source is
/// dropped.
fn shared() -> (Rc<UnixStream>, UnixStream) {
    let (one, two) = pair();
    (Rc::new(one), two)
}

/// Puts another source in the place of a key's.
fn replace<B: Kernel, M: Table>(selector: &mut Sources<B, M>, id: KeyId, new: Source) -> Source {
    selector.get_key_mut(id).unwrap().with_source(|source, _| std::mem::replace(source, new))
}

fn fd_of<B: Kernel, M: Table>(selector: &Sources<B, M>, id: KeyId) -> RawFd {
    selector.get_key(id).unwrap().fd
}

/// The new file is watched under the same key, and the old one, which is open
/// elsewhere, is never reported.
pub fn a_replaced_source_is_followed<B: Kernel, M: Table>() {
    for mode in modes(Sources::<B, M>::new().unwrap().kind()) {
        let ((old, mut old_peer), (new, mut new_peer)) = (shared(), shared());
        let mut selector = Sources::<B, M>::new().unwrap();
        let id = selector.register(Source::new(&old), READ.with_mode(mode), "data").unwrap().id();
        drop(replace(&mut selector, id, Source::new(&new)));
        let key = selector.get_key(id).unwrap();
        assert_eq!((key.id(), key.fd, key.data), (id, new.as_raw_fd(), "data"));
        assert_eq!((key.interest(), key.is_paused()), (READ.with_mode(mode), false));
        assert!(selector.get_key(&old).is_none() && selector.get_key(&new).is_some());
        agree(&selector);

        old_peer.write_all(b"for the old one").unwrap();
        assert!(selector.select(NOW).unwrap().timed_out(), "{mode:?}");
        new_peer.write_all(b"for the new one").unwrap();
        selector.select(SOON).unwrap();
        let (mut key, events) = selector.next_ready().unwrap();
        assert_eq!((key.id(), events), (id, READ));
        let mut buffer = [0; 99];
        let read = key.with_source(|source, _| match source {
            Source::Stream(stream) => (&**stream).read(&mut buffer).unwrap(),
            _ => 0,
        });
        assert_eq!(&buffer[..read], b"for the new one");
        drop(old_peer);
        assert!(selector.select(NOW).unwrap().timed_out(), "{mode:?}");
        let key = selector.unregister(id).unwrap();
        assert_eq!(
            (key.id(), key.fd, key.fileobj.as_fd().as_raw_fd()),
            (id, new.as_raw_fd(), key.fd)
        );
        agree(&selector);
    }
}

/// The old descriptor is closed, as when the source was its only owner, and a
/// duplicate keeps the file alive.
pub fn the_old_descriptor_may_be_closed<B: Kernel, M: Table>() {
    for alive in [false, true] {
        let ((old, mut old_peer), (new, mut new_peer)) = (pair(), shared());
        let duplicate = alive.then(|| old.try_clone().unwrap());
        let mut selector = Sources::<B, M>::new().unwrap();
        let id = selector.register(Source::Stream(Rc::new(old)), READ, "data").unwrap().id();
        let old = replace(&mut selector, id, Source::new(&new));
        drop(old);
        // Closed within the access, which comes before the selector looks at
        // the number.
        let (third, mut third_peer) = shared();
        selector.get_key_mut(id).unwrap().with_source(|source, _| *source = Source::new(&third));
        let _ = old_peer.write_all(b"!");
        new_peer.write_all(b"!").unwrap();
        for _ in 0..3 {
            assert!(ready(&mut selector, NOW).is_empty());
        }
        third_peer.write_all(b"!").unwrap();
        assert_eq!(ready(&mut selector, SOON), [(third.as_raw_fd(), READ)].into());
        drop(duplicate);
        agree(&selector);
    }
}

/// An event of the old source that is still pending is dropped.
pub fn the_old_sources_event_is_dropped<B: Kernel, M: Table>() {
    let [one, two, new] = [(); 3].map(|()| shared());
    let mut selector = Sources::<B, M>::new().unwrap();
    let ids = [&one.0, &two.0]
        .map(|one| selector.register(Source::new(one), WRITE, "data").unwrap().id());
    assert_eq!(selector.select(SOON).events(), Ok(2));
    let first = selector.next_ready().unwrap().0.id();
    let other = if first == ids[0] { ids[1] } else { ids[0] };
    drop(replace(&mut selector, other, Source::new(&new.0)));
    assert!(selector.next_ready().is_none());
    assert_eq!(ready(&mut selector, SOON).len(), 2, "the new one is writable, too");
    agree(&selector);
}

/// A one-shot that has fired stays disarmed, one that has not is armed, and a
/// paused key stays paused.
pub fn the_state_is_followed_too<B: Kernel, M: Table>() {
    let [one, two, three, new] = [(); 4].map(|()| shared());
    let mut selector = Sources::<B, M>::new().unwrap();
    let fired = selector.register(Source::new(&one.0), WRITE.one_shot(), "fired").unwrap().id();
    assert_eq!(ready(&mut selector, SOON).len(), 1);
    drop(replace(&mut selector, fired, Source::new(&new.0)));
    assert_eq!(fd_of(&selector, fired), new.0.as_raw_fd());
    assert!(!selector.get_key(fired).unwrap().is_paused());
    assert!(selector.select(NOW).unwrap().timed_out(), "a fired one-shot is armed again");
    selector.modify(fired, WRITE.one_shot()).unwrap();
    assert_eq!(ready(&mut selector, SOON), [(new.0.as_raw_fd(), WRITE)].into());
    agree(&selector);
    drop(selector.unregister(fired).unwrap());

    let armed = selector.register(Source::new(&one.0), WRITE.one_shot(), "armed").unwrap().id();
    drop(replace(&mut selector, armed, Source::new(&new.0)));
    assert_eq!(selector.get_key(armed).unwrap().mode, Mode::OneShot);
    assert_eq!(ready(&mut selector, SOON), [(new.0.as_raw_fd(), WRITE)].into());
    drop(selector.unregister(armed).unwrap());

    let paused = selector.register(Source::new(&two.0), WRITE, "paused").unwrap().id();
    selector.pause(paused).unwrap();
    drop(replace(&mut selector, paused, Source::new(&three.0)));
    let key = selector.get_key(paused).unwrap();
    assert_eq!((key.is_paused(), key.fd), (true, three.0.as_raw_fd()));
    assert!(selector.select(NOW).unwrap().timed_out());
    selector.resume(paused).unwrap();
    assert_eq!(ready(&mut selector, SOON), [(three.0.as_raw_fd(), WRITE)].into());
    agree(&selector);
}

/// The new source has the number of another key. Neither key harms the other,
/// whichever leaves first.
pub fn the_number_of_another_key<B: Kernel, M: Table>() {
    for other_goes_first in [false, true] {
        let ((one, _one_peer), (two, _two_peer)) = (shared(), shared());
        let mut selector = Sources::<B, M>::new().unwrap();
        let id = selector.register(Source::new(&one), WRITE, "one").unwrap().id();
        let other = selector.register(Source::new(&two), WRITE, "two").unwrap().id();
        drop(replace(&mut selector, id, Source::new(&two)));
        let taken = Error::AlreadyRegistered { fd: two.as_raw_fd() };
        let key = selector.get_key(id).unwrap();
        assert_eq!((key.is_paused(), key.fd, key.id()), (true, !0, id));
        for _ in 0..2 {
            assert_eq!(selector.resume(id), Err(taken));
            assert_eq!(selector.modify(id, READ), Err(taken));
            selector.pause(id).unwrap();
            assert_eq!(selector.get_key(&two).unwrap().id(), other);
            assert!(selector.get_key(!0).is_none() && selector.get_key(&one).is_none());
            assert_eq!(ready(&mut selector, SOON), [(two.as_raw_fd(), WRITE)].into());
            agree(&selector);
        }
        if other_goes_first {
            assert_eq!(selector.unregister(other).unwrap().data, "two");
            agree(&selector);
            selector.resume(id).unwrap();
            assert_eq!(selector.get_key(&two).unwrap().id(), id);
            assert_eq!(ready(&mut selector, SOON), [(two.as_raw_fd(), WRITE)].into());
        } else {
            let key = selector.unregister(id).unwrap();
            assert_eq!((key.data, key.fd), ("one", !0));
            assert_eq!(ready(&mut selector, SOON), [(two.as_raw_fd(), WRITE)].into());
            selector.modify(other, READ | WRITE).unwrap();
            assert_eq!(selector.unregister(&two).unwrap().data, "two");
        }
        selector.register(Source::new(&one), WRITE, "again").unwrap();
        agree(&selector);
    }
}

/// Sources that can't be watched: the key is paused, `resume` says why, and
/// works once the source is good again.
#[cfg(unix)]
pub fn a_source_that_cannot_be_watched<B: Kernel, M: Table>() {
    for interest in [WRITE.into(), WRITE.one_shot()] {
        let ((one, _one_peer), (two, _two_peer)) = (shared(), shared());
        let mut selector = Sources::<B, M>::new().unwrap();
        let id = selector.register(Source::new(&one), interest, "one").unwrap().id();
        let negative = rustix::fs::CWD.as_raw_fd();
        drop(replace(&mut selector, id, Source::Directory));
        for _ in 0..2 {
            let key = selector.get_key(id).unwrap();
            assert_eq!((key.is_paused(), key.fd), (true, !0));
            assert!(selector.get_key(negative).is_none() && selector.get_key(&one).is_none());
            assert_eq!(selector.resume(id), Err(Error::InvalidFd { fd: negative }));
            assert_eq!(selector.modify(id, READ), Err(Error::InvalidFd { fd: negative }));
            assert!(selector.select(NOW).unwrap().timed_out());
            agree(&selector);
        }
        // The number that it had is free.
        selector.register(Source::new(&one), READ, "other").unwrap();
        drop(replace(&mut selector, id, Source::new(&two)));
        assert_eq!(
            (fd_of(&selector, id), selector.get_key(id).unwrap().is_paused()),
            (two.as_raw_fd(), true)
        );
        selector.resume(id).unwrap();
        assert_eq!(ready(&mut selector, SOON), [(two.as_raw_fd(), WRITE)].into());

        let file = File::open(std::env::current_exe().unwrap()).unwrap();
        let number = file.as_raw_fd();
        selector.modify(id, interest).unwrap();
        drop(replace(&mut selector, id, Source::File(file)));
        if selector.kind() == Kind::Epoll {
            assert!(selector.get_key(id).unwrap().is_paused());
            for result in [selector.resume(id), selector.modify(id, READ)] {
                assert_eq!(result.unwrap_err().errno(), Some(Errno::PERM));
            }
            assert!(selector.select(NOW).unwrap().timed_out());
            assert_eq!(selector.get_key(number).map(|key| key.id()), Some(id));
        } else {
            assert!(!selector.get_key(id).unwrap().is_paused());
        }
        drop(replace(&mut selector, id, Source::new(&two)));
        selector.resume(id).unwrap();
        assert_eq!(selector.get_key(id).unwrap().interest(), interest);
        assert_eq!(ready(&mut selector, SOON), [(two.as_raw_fd(), WRITE)].into());
        agree(&selector);
    }
}

/// In the closure and in `as_fd`, with the source as it was or another. The key
/// is paused until it is resumed.
pub fn a_panic_pauses_the_key<B: Kernel, M: Table>() {
    for (replaced, in_as_fd) in [(false, false), (true, false), (true, true)] {
        let ((one, _peer), (other, _other_peer)) = (shared(), shared());
        let new = pair();
        let number = new.0.as_raw_fd();
        let mut selector = Sources::<B, M>::new().unwrap();
        let id = selector.register(Source::new(&one), WRITE, "one").unwrap().id();
        selector.register(Source::new(&other), WRITE, "other").unwrap();
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            selector.get_key_mut(id).unwrap().with_source(|source, _| {
                if in_as_fd {
                    *source = Source::Panics(new.0);
                    return;
                }
                if replaced {
                    *source = Source::Stream(Rc::new(new.0));
                }
                panic!("as a test of panics");
            });
        }));
        assert!(panicked.is_err());
        let key = selector.get_key(id).unwrap();
        assert_eq!((key.is_paused(), key.fd), (true, !0));
        assert_eq!(ready(&mut selector, SOON), [(other.as_raw_fd(), WRITE)].into());
        agree(&selector);

        if in_as_fd {
            // It panics again, and nothing changes.
            for _ in 0..2 {
                assert!(catch_unwind(AssertUnwindSafe(|| selector.resume(id))).is_err());
                assert!(catch_unwind(AssertUnwindSafe(|| selector.modify(id, READ))).is_err());
                assert!(selector.get_key(id).unwrap().is_paused());
                agree(&selector);
            }
            let mut key = selector.get_key_mut(id).unwrap();
            key.with_source(|source, _| {
                if let Source::Panics(stream) =
                    std::mem::replace(source, Source::Stream(Rc::new(pair().0)))
                {
                    *source = Source::Stream(Rc::new(stream));
                }
            });
        }
        selector.resume(id).unwrap();
        let now = if replaced { number } else { one.as_raw_fd() };
        assert_eq!(fd_of(&selector, id), now);
        assert_eq!(ready(&mut selector, SOON), [(now, WRITE), (other.as_raw_fd(), WRITE)].into());
        agree(&selector);
        assert_eq!(selector.unregister(now).unwrap().data, "one");
    }
}

/// `as_fd` returns another descriptor each time, which is safe code. The
/// selector watches one that is the source's.
struct Liar {
    all: [UnixStream; 3],
    next: Cell<usize>,
}

impl AsFd for Liar {
    fn as_fd(&self) -> BorrowedFd<'_> {
        let next = self.next.get();
        self.next.set((next + 1) % 3);
        self.all[next].as_fd()
    }
}

pub fn a_source_that_lies_is_watched_at_one_number<B: Kernel, M: Table>() {
    let pairs = [(); 3].map(|()| pair());
    let (honest, _honest_peer) = pair();
    let numbers = pairs.each_ref().map(|(one, _)| one.as_raw_fd());
    let honest_fd = honest.as_raw_fd();
    let (ours, peers): (Vec<_>, Vec<_>) = pairs.into_iter().unzip();
    let liar = Liar { all: ours.try_into().unwrap(), next: Cell::new(0) };
    let honest = Liar { all: [honest, pair().0, pair().0], next: Cell::new(0) };
    let mut selector = Selector::<B, _, _, M>::new().unwrap();
    let id = selector.register(liar, WRITE, ()).unwrap().id();
    selector.register(honest, WRITE, ()).unwrap();
    for round in 1..10 {
        selector.get_key_mut(id).unwrap().with_source(|_, ()| ());
        let fd = numbers[round % 3];
        assert_eq!(selector.get_key(id).unwrap().fd, fd);
        assert_eq!(ready(&mut selector, SOON).into_keys().collect::<Vec<_>>(), {
            let mut both = [fd, honest_fd];
            both.sort_unstable();
            both
        });
        agree(&selector);
    }
    // Look-ups by reference call it, too.
    let liar = selector.unregister(id).unwrap().fileobj;
    assert!((0..3).all(|_| selector.get_key(&liar).is_none()));
    agree(&selector);
    drop(peers);
}
