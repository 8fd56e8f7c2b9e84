use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::Duration;

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token, Waker};
use slab::Slab;

use super::{EVENTS, Subject, Watch};

/// mio with a slab. It has only edge-triggered waits, and is measured where the
/// others are edge-triggered, too.
pub(crate) struct Mio<'a> {
    poll: Poll,
    events: Events,
    keys: Slab<(BorrowedFd<'a>, u64)>,
}

fn interest(watch: Watch) -> Interest {
    if watch.write { Interest::READABLE | Interest::WRITABLE } else { Interest::READABLE }
}

impl<'a> Subject<'a> for Mio<'a> {
    type Handle = usize;
    type Waker = Waker;

    fn open() -> Self {
        Self {
            poll: Poll::new().unwrap(),
            events: Events::with_capacity(EVENTS),
            keys: Slab::new(),
        }
    }

    #[inline(always)]
    fn add(&mut self, fd: BorrowedFd<'a>, watch: Watch, data: u64) -> usize {
        let key = self.keys.insert((fd, data));
        let raw = fd.as_raw_fd();
        self.poll.registry().register(&mut SourceFd(&raw), Token(key), interest(watch)).unwrap();
        key
    }

    #[inline(always)]
    fn change(&mut self, key: usize, watch: Watch) {
        let raw = self.keys[key].0.as_raw_fd();
        self.poll.registry().reregister(&mut SourceFd(&raw), Token(key), interest(watch)).unwrap();
    }

    #[inline(always)]
    fn remove(&mut self, key: usize) {
        let (fd, _) = self.keys.remove(key);
        let raw = fd.as_raw_fd();
        self.poll.registry().deregister(&mut SourceFd(&raw)).unwrap();
    }

    #[inline(always)]
    fn wait(&mut self, block: bool, mut each: impl FnMut(BorrowedFd<'a>, &mut u64)) -> usize {
        self.poll.poll(&mut self.events, if block { None } else { Some(Duration::ZERO) }).unwrap();
        let mut handled = 0;
        for event in &self.events {
            if let Some((fd, data)) = self.keys.get_mut(event.token().0) {
                each(*fd, data);
                handled += 1;
            }
        }
        handled
    }

    #[inline(always)]
    fn wait_and_change(&mut self, watch: Watch) -> usize {
        self.poll.poll(&mut self.events, Some(Duration::ZERO)).unwrap();
        let mut changed = 0;
        for event in &self.events {
            if let Some((fd, _)) = self.keys.get(event.token().0) {
                let raw = fd.as_raw_fd();
                let mut source = SourceFd(&raw);
                self.poll
                    .registry()
                    .reregister(&mut source, event.token(), interest(watch))
                    .unwrap();
                changed += 1;
            }
        }
        changed
    }

    fn waker(&mut self, _eventfd: BorrowedFd<'a>) -> Waker {
        Waker::new(self.poll.registry(), Token(usize::MAX)).unwrap()
    }

    fn wake(waker: &Waker) {
        waker.wake().unwrap();
    }
}
