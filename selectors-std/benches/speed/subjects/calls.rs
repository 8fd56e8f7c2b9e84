use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};

use rustix::event::epoll::{self, CreateFlags, EventData};

use super::bare::{Buffer, NOW, buffer, flags, wake};
use super::{Subject, Watch};

/// The bare system calls of a program that needs no table: an event carries its
/// descriptor.
pub(crate) struct Calls {
    epoll: OwnedFd,
    buffer: Buffer,
}

/// The descriptor that an event carries.
#[allow(unsafe_code)]
fn descriptor<'a>(event: epoll::Event) -> BorrowedFd<'a> {
    let number = RawFd::try_from(event.data.u64()).unwrap();
    // SAFETY: `add` put in the number of a descriptor that is borrowed for 'a.
    unsafe { BorrowedFd::borrow_raw(number) }
}

fn data(fd: BorrowedFd<'_>) -> EventData {
    EventData::new_u64(u64::try_from(fd.as_raw_fd()).unwrap())
}

impl<'a> Subject<'a> for Calls {
    type Handle = BorrowedFd<'a>;
    type Waker = BorrowedFd<'a>;

    fn open() -> Self {
        Self { epoll: epoll::create(CreateFlags::CLOEXEC).unwrap(), buffer: buffer() }
    }

    #[inline(always)]
    fn add(&mut self, fd: BorrowedFd<'a>, watch: Watch, _data: u64) -> BorrowedFd<'a> {
        epoll::add(&self.epoll, fd, data(fd), flags(watch)).unwrap();
        fd
    }

    #[inline(always)]
    fn change(&mut self, fd: BorrowedFd<'a>, watch: Watch) {
        epoll::modify(&self.epoll, fd, data(fd), flags(watch)).unwrap();
    }

    #[inline(always)]
    fn remove(&mut self, fd: BorrowedFd<'a>) {
        epoll::delete(&self.epoll, fd).unwrap();
    }

    #[inline(always)]
    fn wait(&mut self, block: bool, mut each: impl FnMut(BorrowedFd<'a>, &mut u64)) -> usize {
        let (ready, _) =
            epoll::wait(&self.epoll, &mut self.buffer[..], (!block).then_some(&NOW)).unwrap();
        for event in ready.iter() {
            each(descriptor(*event), &mut 0);
        }
        ready.len()
    }

    #[inline(always)]
    fn wait_and_change(&mut self, watch: Watch) -> usize {
        let (ready, _) = epoll::wait(&self.epoll, &mut self.buffer[..], Some(&NOW)).unwrap();
        for event in ready.iter() {
            let fd = descriptor(*event);
            epoll::modify(&self.epoll, fd, data(fd), flags(watch)).unwrap();
        }
        ready.len()
    }

    fn waker(&mut self, eventfd: BorrowedFd<'a>) -> BorrowedFd<'a> {
        self.add(eventfd, super::LEVEL, 0)
    }

    fn wake(eventfd: &BorrowedFd<'a>) {
        wake(*eventfd);
    }
}
