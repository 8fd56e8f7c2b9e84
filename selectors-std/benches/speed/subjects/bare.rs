use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};

use super::{EVENTS, Subject, Watch};

/// The bare loop: the system calls, and a slab whose generations detect stale
/// events.
pub(crate) struct Bare<'a> {
    epoll: OwnedFd,
    buffer: Buffer,
    slots: Vec<Slot<'a>>,
    free: Vec<u32>,
}

struct Slot<'a> {
    generation: u32,
    key: Option<(BorrowedFd<'a>, u64)>,
}

/// The loop keeps its buffer, as it is large for a stack.
pub(crate) type Buffer = Box<[MaybeUninit<epoll::Event>; EVENTS]>;

pub(crate) fn buffer() -> Buffer {
    Box::new([MaybeUninit::uninit(); EVENTS])
}

pub(super) const NOW: Timespec = Timespec { tv_sec: 0, tv_nsec: 0 };

/// The flags that the other subjects pass, too.
pub(crate) fn flags(watch: Watch) -> EventFlags {
    let mut flags = EventFlags::IN | EventFlags::RDHUP;
    flags.set(EventFlags::OUT, watch.write);
    flags.set(EventFlags::ET, watch.edge);
    flags
}

pub(super) fn wake(eventfd: BorrowedFd<'_>) {
    rustix::io::write(eventfd, &1_u64.to_ne_bytes()).unwrap();
}

#[allow(clippy::cast_possible_truncation, reason = "the halves are taken apart")]
fn halves(token: u64) -> (usize, u32) {
    (token as u32 as usize, (token >> 32) as u32)
}

impl<'a> Subject<'a> for Bare<'a> {
    type Handle = u64;
    type Waker = BorrowedFd<'a>;

    fn open() -> Self {
        let epoll = epoll::create(CreateFlags::CLOEXEC).unwrap();
        Self { epoll, buffer: buffer(), slots: Vec::new(), free: Vec::new() }
    }

    #[inline(always)]
    fn add(&mut self, fd: BorrowedFd<'a>, watch: Watch, data: u64) -> u64 {
        let number = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot { generation: 0, key: None });
            u32::try_from(self.slots.len() - 1).unwrap()
        });
        let slot = &mut self.slots[number as usize];
        let token = u64::from(slot.generation) << 32 | u64::from(number);
        epoll::add(&self.epoll, fd, EventData::new_u64(token), flags(watch)).unwrap();
        slot.key = Some((fd, data));
        token
    }

    #[inline(always)]
    fn change(&mut self, token: u64, watch: Watch) {
        let (number, _) = halves(token);
        let (fd, _) = self.slots[number].key.unwrap();
        epoll::modify(&self.epoll, fd, EventData::new_u64(token), flags(watch)).unwrap();
    }

    #[inline(always)]
    fn remove(&mut self, token: u64) {
        let (number, _) = halves(token);
        let slot = &mut self.slots[number];
        let (fd, _) = slot.key.take().unwrap();
        slot.generation = slot.generation.wrapping_add(1);
        self.free.push(u32::try_from(number).unwrap());
        epoll::delete(&self.epoll, fd).unwrap();
    }

    #[inline(always)]
    fn wait(&mut self, block: bool, mut each: impl FnMut(BorrowedFd<'a>, &mut u64)) -> usize {
        let (ready, _) =
            epoll::wait(&self.epoll, &mut self.buffer[..], (!block).then_some(&NOW)).unwrap();
        let mut handled = 0;
        for event in ready.iter() {
            let (number, generation) = halves(event.data.u64());
            let slot = self.slots.get_mut(number).filter(|slot| slot.generation == generation);
            if let Some((fd, data)) = slot.and_then(|slot| slot.key.as_mut()) {
                each(*fd, data);
                handled += 1;
            }
        }
        handled
    }

    #[inline(always)]
    fn wait_and_change(&mut self, watch: Watch) -> usize {
        let (ready, _) = epoll::wait(&self.epoll, &mut self.buffer[..], Some(&NOW)).unwrap();
        for event in ready.iter() {
            let token = event.data.u64();
            let (number, generation) = halves(token);
            let slot = self.slots.get(number).filter(|slot| slot.generation == generation);
            if let Some((fd, _)) = slot.and_then(|slot| slot.key) {
                epoll::modify(&self.epoll, fd, EventData::new_u64(token), flags(watch)).unwrap();
            }
        }
        ready.len()
    }

    fn waker(&mut self, eventfd: BorrowedFd<'a>) -> BorrowedFd<'a> {
        self.add(eventfd, super::LEVEL, 0);
        eventfd
    }

    fn wake(eventfd: &BorrowedFd<'a>) {
        wake(*eventfd);
    }
}
