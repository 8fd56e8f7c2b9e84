use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};

use super::{Asked, EVENTS, Subject};

/// What one writes by hand: the system calls, and a slab whose generations tell stale events.
pub(crate) struct Bare<'a> {
    epoll: OwnedFd,
    slots: Vec<Slot<'a>>,
    free: Vec<u32>,
}

struct Slot<'a> {
    generation: u32,
    key: Option<(BorrowedFd<'a>, u64)>,
}

fn flags(asked: Asked) -> EventFlags {
    let mut flags = EventFlags::IN | EventFlags::RDHUP;
    flags.set(EventFlags::OUT, asked.write);
    flags.set(EventFlags::ET, asked.edge);
    flags
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
        Self { epoll, slots: Vec::new(), free: Vec::new() }
    }

    fn add(&mut self, fd: BorrowedFd<'a>, asked: Asked, data: u64) -> u64 {
        let number = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot { generation: 0, key: None });
            u32::try_from(self.slots.len() - 1).unwrap()
        });
        let slot = &mut self.slots[number as usize];
        let token = u64::from(slot.generation) << 32 | u64::from(number);
        epoll::add(&self.epoll, fd, EventData::new_u64(token), flags(asked)).unwrap();
        slot.key = Some((fd, data));
        token
    }

    fn change(&mut self, token: u64, asked: Asked) {
        let (number, _) = halves(token);
        let (fd, _) = self.slots[number].key.unwrap();
        epoll::modify(&self.epoll, fd, EventData::new_u64(token), flags(asked)).unwrap();
    }

    fn remove(&mut self, token: u64) {
        let (number, _) = halves(token);
        let slot = &mut self.slots[number];
        let (fd, _) = slot.key.take().unwrap();
        slot.generation = slot.generation.wrapping_add(1);
        self.free.push(u32::try_from(number).unwrap());
        epoll::delete(&self.epoll, fd).unwrap();
    }

    #[inline(always)]
    fn wait(&mut self, forever: bool, mut each: impl FnMut(BorrowedFd<'a>, &mut u64)) -> usize {
        let mut buffer = [MaybeUninit::uninit(); EVENTS];
        let none = Timespec { tv_sec: 0, tv_nsec: 0 };
        let (ready, _) = epoll::wait(&self.epoll, &mut buffer, (!forever).then_some(&none)).unwrap();
        let mut taken = 0;
        for event in ready.iter() {
            let (number, generation) = halves(event.data.u64());
            let slot = self.slots.get_mut(number).filter(|slot| slot.generation == generation);
            if let Some((fd, data)) = slot.and_then(|slot| slot.key.as_mut()) {
                each(*fd, data);
                taken += 1;
            }
        }
        taken
    }

    fn waker(&mut self, eventfd: BorrowedFd<'a>) -> BorrowedFd<'a> {
        self.add(eventfd, super::LEVEL, 0);
        eventfd
    }

    fn wake(eventfd: &BorrowedFd<'a>) {
        rustix::io::write(eventfd, &1_u64.to_ne_bytes()).unwrap();
    }
}
