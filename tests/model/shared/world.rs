//! Descriptors at known numbers, what is done to them, and the kernel's word on
//! each.

use std::fs::File;
use std::mem::ManuallyDrop;
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, epoll, eventfd, poll};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, Shutdown, SocketFlags, SocketType, send, shutdown,
    socketpair, sockopt,
};
use rustix::pipe::{PipeFlags, pipe_with};

use super::emulated_kqueue::queue;
use super::language::{Place, Sort, Step};
use super::needs;

pub const PLACES: usize = 8;

/// Whether nothing is open at a number. The process may have inherited more
/// than its first three.
fn is_free(number: RawFd) -> bool {
    // SAFETY: the call finds out whether anything is open there.
    let fd = unsafe { BorrowedFd::borrow_raw(number) };
    rustix::io::fcntl_getfd(fd).is_err()
}

/// The descriptor number of a place: where nothing else is opened. The last one
/// is too large for the `select` call, if the limits of the process allow such
/// a number.
pub fn number(place: Place) -> RawFd {
    static NUMBERS: OnceLock<[RawFd; PLACES]> = OnceLock::new();
    NUMBERS.get_or_init(|| {
        let limit = RawFd::try_from(needs::limit()).unwrap();
        let highest = (limit - PLACES as RawFd).min(700);
        let all = |first| std::array::from_fn(|place| first + place as RawFd);
        let mut numbers =
            (0..=highest).rev().map(all).find(|all| all.iter().all(|one| is_free(*one))).unwrap();
        if needs::number(1030) {
            numbers[PLACES - 1] = (1030..limit).find(|number| is_free(*number)).unwrap();
        }
        numbers
    })[usize::from(place) % PLACES]
}

/// The place of a descriptor number.
fn place(fd: RawFd) -> Option<Place> {
    (0..PLACES as Place).find(|place| number(*place) == fd)
}

/// Names an open file, which several numbers may share. Never used again.
pub type FileId = usize;

/// What the kernel says of a file: before and after a wait, for TCP takes its
/// time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Readiness {
    pub least: u16,
    pub most: u16,
}

struct Open {
    sort: Sort,
    peer: Option<OwnedFd>,
}

pub struct World {
    at: [Option<FileId>; PLACES],
    /// How often something was opened at each place.
    openings: [u64; PLACES],
    files: Vec<Open>,
    /// When something last happened to a file that could be an edge, and that
    /// must be one.
    pub stirred: Vec<u64>,
    pub raised: Vec<u64>,
    pub now: u64,
    // The numbers are the process's, so there can be only one world.
    _alone: MutexGuard<'static, ()>,
}

static ALONE: Mutex<()> = Mutex::new(());

fn tcp() -> (OwnedFd, OwnedFd) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let one = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (two, _) = listener.accept().unwrap();
    for end in [&one, &two] {
        end.set_nonblocking(true).unwrap();
        end.set_nodelay(true).unwrap();
        // Small, so that filling them is quick.
        sockopt::set_socket_send_buffer_size(end, 4096).unwrap();
        sockopt::set_socket_recv_buffer_size(end, 4096).unwrap();
    }
    (one.into(), two.into())
}

fn open(sort: Sort) -> (OwnedFd, Option<OwnedFd>) {
    match sort {
        Sort::PipeRead | Sort::PipeWrite => {
            let (read, write) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK).unwrap();
            if sort == Sort::PipeRead { (read, Some(write)) } else { (write, Some(read)) }
        }
        Sort::Unix => {
            let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
            let (one, two) =
                socketpair(AddressFamily::UNIX, SocketType::STREAM, flags, None).unwrap();
            (one, Some(two))
        }
        Sort::Tcp => {
            let (one, two) = tcp();
            (one, Some(two))
        }
        Sort::Event => (eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC).unwrap(), None),
        Sort::Regular => (File::open("/proc/self/exe").unwrap().into(), None),
        Sort::Nested => {
            let inner = epoll::create(epoll::CreateFlags::CLOEXEC).unwrap();
            let event = eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC).unwrap();
            epoll::add(&inner, &event, epoll::EventData::new_u64(0), epoll::EventFlags::IN)
                .unwrap();
            (inner, Some(event))
        }
    }
}

/// A number of this world, which is open.
fn borrow(place: Place) -> BorrowedFd<'static> {
    // SAFETY: used at once, for system calls on a number that only the world
    // opens and closes.
    unsafe { BorrowedFd::borrow_raw(number(place)) }
}

fn read_all(fd: impl AsFd) {
    let mut sink = [0; 4096];
    while let Ok(1..) = rustix::io::read(&fd, &mut sink) {}
}

fn fill(fd: impl AsFd) {
    for size in [4096, 1] {
        while let Ok(1..) = send(&fd, &[0; 4096][..size], SendFlags::NOSIGNAL) {}
    }
}

fn fill_pipe(fd: impl AsFd) {
    for size in [4096, 1] {
        while let Ok(1..) = rustix::io::write(&fd, &[0; 4096][..size]) {}
    }
}

impl World {
    pub fn new() -> Self {
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        Self {
            at: [None; PLACES],
            openings: [0; PLACES],
            files: Vec::new(),
            stirred: vec![],
            raised: vec![],
            now: 1,
            _alone: alone,
        }
    }

    pub fn file_at(&self, place: Place) -> Option<FileId> {
        self.at[usize::from(place) % PLACES]
    }

    pub fn file_of(&self, fd: RawFd) -> Option<FileId> {
        self.file_at(place(fd)?)
    }

    /// Distinguishes what is open at a number from what was open there before,
    /// if anything is.
    pub fn opening(&self, fd: RawFd) -> Option<u64> {
        let place = place(fd)?;
        self.file_at(place).map(|_| self.openings[usize::from(place)])
    }

    pub fn lives(&self, file: FileId) -> bool {
        self.at.contains(&Some(file))
    }

    pub fn is_regular(&self, file: FileId) -> bool {
        self.files[file].sort == Sort::Regular
    }

    pub fn is_pipe(&self, file: FileId) -> bool {
        matches!(self.files[file].sort, Sort::PipeRead | Sort::PipeWrite)
    }

    /// A pipe whose other end is closed.
    pub fn is_broken(&self, file: FileId) -> bool {
        self.is_pipe(file) && self.files[file].peer.is_none()
    }

    /// The end of a pipe to write to, without a reader.
    pub fn has_no_reader(&self, file: FileId) -> bool {
        self.is_broken(file) && self.files[file].sort == Sort::PipeWrite
    }

    pub fn is_tcp(&self, file: FileId) -> bool {
        self.files[file].sort == Sort::Tcp
    }

    /// The kernel's word on each living file, by poll(2), one entry for each.
    #[allow(
        clippy::cast_sign_loss,
        clippy::unnecessary_cast,
        reason = "a signed type on some CPUs"
    )]
    pub fn look(&self) -> Vec<(FileId, u16)> {
        let mut named: Vec<(FileId, Place)> = Vec::new();
        for (file, place) in
            self.at.iter().zip(0..).filter_map(|(file, place)| file.map(|file| (file, place)))
        {
            if !named.iter().any(|(other, _)| *other == file) {
                named.push((file, place));
            }
        }
        let all = PollFlags::IN | PollFlags::OUT | PollFlags::PRI | PollFlags::RDHUP;
        let mut fds: Vec<_> =
            named.iter().map(|(_, place)| PollFd::from_borrowed_fd(borrow(*place), all)).collect();
        poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).unwrap();
        named
            .iter()
            .zip(fds)
            .map(|((file, _), report)| (*file, report.revents().bits() as u16))
            .collect()
    }

    /// Puts a descriptor at a place, over whatever is there.
    fn put(&mut self, fd: OwnedFd, place: Place, file: FileId) {
        if self.file_at(place).is_some() {
            queue::closes(borrow(place));
        }
        let number = number(place);
        // SAFETY: the number belongs to this world, as do the descriptors that
        // were open at it. It is never closed as an `OwnedFd`: if the kernel
        // refuses, nothing may be open there, and that would abort the process.
        let mut target = ManuallyDrop::new(unsafe { OwnedFd::from_raw_fd(number) });
        if let Err(refused) = rustix::io::dup3(&fd, &mut target, rustix::io::DupFlags::CLOEXEC) {
            panic!("the kernel does not duplicate a descriptor to number {number}: {refused}");
        }
        let place = usize::from(place) % PLACES;
        self.openings[place] += 1;
        // The old one last: it may be the same file.
        if let Some(old) = self.at[place].replace(file) {
            self.left(old);
        }
    }

    /// A number of this file is closed.
    fn left(&mut self, file: FileId) {
        if !self.lives(file) {
            self.files[file].peer = None;
        }
    }

    /// Does what a step does to the descriptors. The other steps change nothing
    /// here.
    #[allow(clippy::collapsible_match, reason = "a guard that does something would surprise")]
    pub fn step(&mut self, step: &Step) {
        self.now += 1;
        match *step {
            Step::Open(place, sort) => {
                let (ours, peer) = open(sort);
                self.files.push(Open { sort, peer });
                self.stirred.push(self.now);
                self.raised.push(0);
                self.put(ours, place, self.files.len() - 1);
            }
            Step::Close(place) => {
                if let Some(file) = self.file_at(place) {
                    queue::closes(borrow(place));
                    // SAFETY: it is open and the world's, and only raw
                    // registrations use it.
                    unsafe { rustix::io::close(number(place)) };
                    self.at[usize::from(place) % PLACES] = None;
                    self.left(file);
                }
            }
            Step::Dup(from, to) => {
                let (Some(file), false) = (self.file_at(from), number(from) == number(to)) else {
                    return;
                };
                self.put(rustix::io::fcntl_dupfd_cloexec(borrow(from), 0).unwrap(), to, file);
            }
            Step::Write(place)
            | Step::Urgent(place)
            | Step::Fill(place)
            | Step::Drain(place)
            | Step::Empty(place)
            | Step::Shut(place, _)
            | Step::Hang(place, _)
            | Step::TakeError(place) => {
                if let Some(file) = self.file_at(place) {
                    self.stirred[file] = self.now;
                    if self.stir(step, file, place) {
                        self.raised[file] = self.now;
                    }
                }
            }
            _ => {}
        }
    }

    /// Returns whether data arrived, which is an edge for a key that waits to
    /// read.
    fn stir(&mut self, step: &Step, file: FileId, place: Place) -> bool {
        let Open { sort, peer } = &mut self.files[file];
        let (sort, ours) = (*sort, borrow(place));
        let stream = matches!(sort, Sort::Unix | Sort::Tcp);
        match (step, peer.as_ref()) {
            (Step::Write(_), _) if sort == Sort::Event => {
                return rustix::io::write(ours, &1_u64.to_ne_bytes()).is_ok();
            }
            (Step::Write(_), Some(peer)) if sort == Sort::Nested => {
                let _ = rustix::io::write(peer, &1_u64.to_ne_bytes());
            }
            (Step::Write(_), Some(peer)) if sort == Sort::PipeRead => {
                return rustix::io::write(peer, b"!").is_ok();
            }
            (Step::Write(_), Some(peer)) if stream => {
                return send(peer, b"!", SendFlags::NOSIGNAL).is_ok();
            }
            (Step::Urgent(_), Some(peer)) if sort == Sort::Tcp => {
                let _ = send(peer, b"!", SendFlags::NOSIGNAL | SendFlags::OOB);
            }
            (Step::Fill(_), _) if stream => fill(ours),
            (Step::Fill(_), Some(_)) if sort == Sort::PipeWrite => fill_pipe(ours),
            (Step::Drain(_), Some(event)) if sort == Sort::Nested => read_all(event),
            (Step::Drain(_), _)
                if !matches!(sort, Sort::PipeWrite | Sort::Regular | Sort::Nested) =>
            {
                read_all(ours);
                if sort == Sort::Tcp {
                    let _ = rustix::net::recv(ours, &mut [0; 1][..], RecvFlags::OOB);
                }
            }
            (Step::Empty(_), Some(peer)) if stream || sort == Sort::PipeWrite => read_all(peer),
            (Step::Shut(_, true), Some(peer)) if stream => {
                let _ = shutdown(peer, Shutdown::Write);
            }
            (Step::Shut(_, false), _) if stream => {
                let _ = shutdown(ours, Shutdown::Write);
            }
            (Step::Hang(_, reset), Some(end)) => {
                if *reset && sort == Sort::Tcp {
                    sockopt::set_socket_linger(end, Some(std::time::Duration::ZERO)).unwrap();
                }
                *peer = None;
            }
            (Step::TakeError(_), _) if stream => {
                let _ = sockopt::socket_error(ours);
            }
            _ => {}
        }
        false
    }
}

impl World {
    /// Closes everything. The numbers stay reserved.
    pub fn close(&mut self) {
        for place in 0..PLACES as Place {
            self.step(&Step::Close(place));
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.close();
    }
}

/// How many descriptors the process has open.
pub fn open_descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// The number that the next descriptor is going to have.
pub fn next_number() -> RawFd {
    let stdin = rustix::stdio::stdin();
    rustix::io::fcntl_dupfd_cloexec(stdin, 3).unwrap().as_raw_fd()
}
