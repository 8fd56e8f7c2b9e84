use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::Duration;

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token, Waker};
use slab::Slab;

use super::{Asked, EVENTS, Subject};

/// mio with a slab. Always edge-triggered, whatever is asked.
pub(crate) struct Mio<'a> {
    poll: Poll,
    events: Events,
    keys: Slab<(BorrowedFd<'a>, u64)>,
}

fn interest(asked: Asked) -> Interest {
    if asked.write { Interest::READABLE | Interest::WRITABLE } else { Interest::READABLE }
}

impl<'a> Subject<'a> for Mio<'a> {
    type Handle = usize;
    type Waker = Waker;

    fn open() -> Self {
        Self { poll: Poll::new().unwrap(), events: Events::with_capacity(EVENTS), keys: Slab::new() }
    }

    fn add(&mut self, fd: BorrowedFd<'a>, asked: Asked, data: u64) -> usize {
        let key = self.keys.insert((fd, data));
        let raw = fd.as_raw_fd();
        self.poll.registry().register(&mut SourceFd(&raw), Token(key), interest(asked)).unwrap();
        key
    }

    fn change(&mut self, key: usize, asked: Asked) {
        let raw = self.keys[key].0.as_raw_fd();
        self.poll.registry().reregister(&mut SourceFd(&raw), Token(key), interest(asked)).unwrap();
    }

    fn remove(&mut self, key: usize) {
        let (fd, _) = self.keys.remove(key);
        let raw = fd.as_raw_fd();
        self.poll.registry().deregister(&mut SourceFd(&raw)).unwrap();
    }

    #[inline(always)]
    fn wait(&mut self, forever: bool, mut each: impl FnMut(BorrowedFd<'a>, &mut u64)) -> usize {
        self.poll.poll(&mut self.events, if forever { None } else { Some(Duration::ZERO) }).unwrap();
        let mut taken = 0;
        for event in &self.events {
            if let Some((fd, data)) = self.keys.get_mut(event.token().0) {
                each(*fd, data);
                taken += 1;
            }
        }
        taken
    }

    fn waker(&mut self, _eventfd: BorrowedFd<'a>) -> Waker {
        Waker::new(self.poll.registry(), Token(usize::MAX)).unwrap()
    }

    fn wake(waker: &Waker) {
        waker.wake().unwrap();
    }
}
