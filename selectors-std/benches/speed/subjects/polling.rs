use std::num::NonZeroUsize;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::sync::Arc;
use std::time::Duration;

use polling::{Event, Events, PollMode, Poller};
use slab::Slab;

use super::{EVENTS, Subject, Watch};

/// polling with a slab, in its level or edge mode. Its default is one-shot,
/// which needs one more call for each event.
pub(crate) struct Polling<'a> {
    poller: Arc<Poller>,
    events: Events,
    keys: Slab<(BorrowedFd<'a>, u64)>,
}

fn event(key: usize, watch: Watch) -> Event {
    if watch.write { Event::all(key) } else { Event::readable(key) }
}

fn mode(watch: Watch) -> PollMode {
    if watch.edge { PollMode::Edge } else { PollMode::Level }
}

impl<'a> Subject<'a> for Polling<'a> {
    type Handle = usize;
    type Waker = Arc<Poller>;

    fn open() -> Self {
        let events = Events::with_capacity(NonZeroUsize::new(EVENTS).unwrap());
        Self { poller: Arc::new(Poller::new().unwrap()), events, keys: Slab::new() }
    }

    #[inline(always)]
    #[allow(unsafe_code)]
    fn add(&mut self, fd: BorrowedFd<'a>, watch: Watch, data: u64) -> usize {
        let key = self.keys.insert((fd, data));
        // SAFETY: the source must be deleted before it is closed. It is
        // borrowed for longer than `self` lives, and the epoll instance ends
        // with `self`.
        unsafe { self.poller.add_with_mode(fd.as_raw_fd(), event(key, watch), mode(watch)) }
            .unwrap();
        key
    }

    #[inline(always)]
    fn change(&mut self, key: usize, watch: Watch) {
        self.poller.modify_with_mode(self.keys[key].0, event(key, watch), mode(watch)).unwrap();
    }

    #[inline(always)]
    fn remove(&mut self, key: usize) {
        let (fd, _) = self.keys.remove(key);
        self.poller.delete(fd).unwrap();
    }

    #[inline(always)]
    fn wait(&mut self, block: bool, mut each: impl FnMut(BorrowedFd<'a>, &mut u64)) -> usize {
        self.events.clear();
        self.poller
            .wait(&mut self.events, if block { None } else { Some(Duration::ZERO) })
            .unwrap();
        let mut handled = 0;
        for event in self.events.iter() {
            if let Some((fd, data)) = self.keys.get_mut(event.key) {
                each(*fd, data);
                handled += 1;
            }
        }
        handled
    }

    #[inline(always)]
    fn wait_and_change(&mut self, watch: Watch) -> usize {
        self.events.clear();
        self.poller.wait(&mut self.events, Some(Duration::ZERO)).unwrap();
        let mut changed = 0;
        for found in self.events.iter() {
            if let Some((fd, _)) = self.keys.get(found.key) {
                self.poller.modify_with_mode(fd, event(found.key, watch), mode(watch)).unwrap();
                changed += 1;
            }
        }
        changed
    }

    fn waker(&mut self, _eventfd: BorrowedFd<'a>) -> Arc<Poller> {
        self.poller.clone()
    }

    fn wake(poller: &Arc<Poller>) {
        poller.notify().unwrap();
    }
}
