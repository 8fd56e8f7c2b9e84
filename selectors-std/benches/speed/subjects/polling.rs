use std::num::NonZeroUsize;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::sync::Arc;
use std::time::Duration;

use polling::{Event, Events, PollMode, Poller};
use slab::Slab;

use super::{Asked, EVENTS, Subject};

/// polling with a slab, in its level mode unless edge is asked: its default, one-shot, needs a call more for each event.
pub(crate) struct Polling<'a> {
    poller: Arc<Poller>,
    events: Events,
    keys: Slab<(BorrowedFd<'a>, u64)>,
}

fn event(key: usize, asked: Asked) -> Event {
    if asked.write { Event::all(key) } else { Event::readable(key) }
}

fn mode(asked: Asked) -> PollMode {
    if asked.edge { PollMode::Edge } else { PollMode::Level }
}

impl<'a> Subject<'a> for Polling<'a> {
    type Handle = usize;
    type Waker = Arc<Poller>;

    fn open() -> Self {
        let events = Events::with_capacity(NonZeroUsize::new(EVENTS).unwrap());
        Self { poller: Arc::new(Poller::new().unwrap()), events, keys: Slab::new() }
    }

    #[allow(unsafe_code)]
    fn add(&mut self, fd: BorrowedFd<'a>, asked: Asked, data: u64) -> usize {
        let key = self.keys.insert((fd, data));
        // SAFETY: the source must be deleted before it is closed: it is borrowed for longer than
        // `self` lives, and with that ends the epoll instance.
        unsafe { self.poller.add_with_mode(fd.as_raw_fd(), event(key, asked), mode(asked)) }.unwrap();
        key
    }

    fn change(&mut self, key: usize, asked: Asked) {
        self.poller.modify_with_mode(self.keys[key].0, event(key, asked), mode(asked)).unwrap();
    }

    fn remove(&mut self, key: usize) {
        let (fd, _) = self.keys.remove(key);
        self.poller.delete(fd).unwrap();
    }

    #[inline(always)]
    fn wait(&mut self, forever: bool, mut each: impl FnMut(BorrowedFd<'a>, &mut u64)) -> usize {
        self.events.clear();
        self.poller.wait(&mut self.events, if forever { None } else { Some(Duration::ZERO) }).unwrap();
        let mut taken = 0;
        for event in self.events.iter() {
            if let Some((fd, data)) = self.keys.get_mut(event.key) {
                each(*fd, data);
                taken += 1;
            }
        }
        taken
    }

    fn waker(&mut self, _eventfd: BorrowedFd<'a>) -> Arc<Poller> {
        self.poller.clone()
    }

    fn wake(poller: &Arc<Poller>) {
        poller.notify().unwrap();
    }
}
