//! An emulated kqueue: its filters, and what they report.
//!
//! As NetBSD's `kern_event.c` and the manuals have it. Readiness itself comes
//! from epoll. Both filters may be on one descriptor, so it takes two
//! instances: the one that reads is the descriptor that the program sees, and
//! can be nested; the one that writes is inside it.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ffi::c_void;
use std::mem::ManuallyDrop;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::{Duration, Instant};

use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags as Readiness};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use rustix::fs::FileType;
use rustix::io::{self, DupFlags, Errno};

use super::files::{File, borrow, file, has_queued, is_broken, is_queue};
use super::sys::{Event, EventFilter, EventFlags};
use super::systems::System;

pub const ZERO: Timespec = Timespec { tv_sec: 0, tv_nsec: 0 };

/// By the number of the descriptor that the program has. One that was closed
/// stays here until its number is a kqueue's again.
static QUEUES: LazyLock<Mutex<HashMap<RawFd, Arc<Shared>>>> = LazyLock::new(Mutex::default);

struct Shared {
    system: System,
    queue: Mutex<Queue>,
}

/// The numbers of the filters that the last wait of their queue has left in the
/// list of those that are ready. Every kernel keeps a level-triggered filter
/// there until a wait finds that it is not, and reports the queue as readable
/// until then.
static QUEUED: LazyLock<Mutex<HashSet<u64>>> = LazyLock::new(Mutex::default);

/// Filters are numbered from 1 on, over all queues.
static SERIAL: AtomicU64 = AtomicU64::new(1);

#[derive(Default)]
struct Queue {
    /// The instance for writing, once there is something to write to.
    writing: Option<OwnedFd>,
    filters: BTreeMap<Key, Filter>,
    /// Which instance comes first, so that none of them starves.
    writing_first: bool,
}

/// A descriptor, and whether the filter is the one for writing.
type Key = (RawFd, bool);

struct Filter {
    /// What it was added with, and what is returned with its events.
    flags: EventFlags,
    udata: *mut c_void,
    enabled: bool,
    serial: u64,
    /// The file that was there when it was added: a filter leaves when its
    /// descriptor is closed.
    file: File,
    /// Whether a queue is watched.
    nested: bool,
}

/// The number in epoll that is no filter's: the instance for writing is ready.
pub const WRITING: u64 = 0;

// SAFETY: the pointer is a number that is never dereferenced.
unsafe impl Send for Filter {}

/// Opens a queue without close-on-exec, as a real kqueue is opened.
pub fn open() -> io::Result<OwnedFd> {
    let visible = epoll::create(CreateFlags::empty())?;
    let shared = Shared { system: System::current(), queue: Mutex::default() };
    let old = QUEUES.lock().unwrap().insert(visible.as_raw_fd(), Arc::new(shared));
    drop(old);
    Ok(visible)
}

fn find(number: RawFd) -> Arc<Shared> {
    QUEUES.lock().unwrap()[&number].clone()
}

/// The kernel that the queue of this number belongs to.
pub fn system(number: RawFd) -> System {
    find(number).system
}

pub fn change(visible: BorrowedFd<'_>, change: &Event) -> io::Result<()> {
    let shared = find(visible.as_raw_fd());
    let key = match change.filter() {
        EventFilter::Read(fd) => (fd, false),
        EventFilter::Write(fd) => (fd, true),
        EventFilter::Unknown => return Err(Errno::INVAL),
    };
    shared.queue.lock().unwrap().change(visible, key, change, shared.system)
}

pub fn wait(
    visible: BorrowedFd<'_>,
    room: usize,
    timeout: Option<&Timespec>,
) -> io::Result<Vec<Event>> {
    let shared = find(visible.as_raw_fd());
    // The clock is not read for a timeout of zero. Reading it is a system call
    // where a CPU is emulated.
    let finite =
        timeout.filter(|time| **time != ZERO).and_then(|time| Duration::try_from(*time).ok());
    let finite = finite.map(|time| shared.system.rounded(time));
    let deadline = finite.and_then(|time| Instant::now().checked_add(time));
    loop {
        let reported = shared.queue.lock().unwrap().collect(visible, room, shared.system)?;
        if timeout == Some(&ZERO) {
            return Ok(reported);
        }
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        if !reported.is_empty() || left == Some(Duration::ZERO) {
            return Ok(reported);
        }
        let left = left.and_then(|left| Timespec::try_from(left).ok());
        rustix::event::poll(
            &mut [PollFd::from_borrowed_fd(visible, PollFlags::IN)],
            left.as_ref(),
        )?;
    }
}

/// Lets go of what queues had, all of which are closed.
pub fn end_all() {
    QUEUES.lock().unwrap().clear();
}

/// Lets go of what the queues had whose numbers are no queue's any more.
pub fn end_closed() {
    QUEUES.lock().unwrap().retain(|number, _| is_queue(*number));
}

/// Removes this number, which is about to be closed, from every queue. Each
/// would find out by itself later, but could not distinguish two eventfds,
/// which are one inode.
pub fn closes(fd: BorrowedFd<'_>) {
    for (visible, shared) in QUEUES.lock().unwrap().iter() {
        let mut queue = shared.queue.lock().unwrap();
        for key in [(fd.as_raw_fd(), false), (fd.as_raw_fd(), true)] {
            let was_there = queue.filters.remove(&key).is_some();
            // A queue that was closed itself has nothing to end.
            if let Some(visible) = borrow(*visible).ok().filter(|_| was_there) {
                let _ = queue.unwatch(visible, key, fd);
            }
        }
    }
}

/// What is watched, in the terms of an epoll instance: bits and user data by
/// descriptor.
pub fn watched(number: RawFd) -> BTreeMap<RawFd, Vec<(u32, u64)>> {
    let shared = find(number);
    let queue = shared.queue.lock().unwrap();
    let mut set: BTreeMap<RawFd, Vec<_>> = BTreeMap::new();
    for ((fd, write), filter) in queue.filters.iter().filter(|(key, filter)| filter.is_there(**key))
    {
        let mut bits = match (filter.enabled, write) {
            (false, _) => 0,
            (true, false) => 0x2001,
            (true, true) => 0x4,
        };
        bits |= u32::from(filter.flags.contains(EventFlags::CLEAR)) << 31;
        bits |= u32::from(filter.flags.contains(EventFlags::DISPATCH)) << 30;
        let entries = set.entry(*fd).or_default();
        match entries.first_mut() {
            Some((all, _)) => *all |= bits,
            None => entries.push((bits, filter.udata.addr() as u64)),
        }
    }
    set
}

/// Whether a queue has a filter for writing to this descriptor, enabled or not.
pub fn can_report_writing(number: RawFd, fd: RawFd) -> bool {
    let shared = find(number);
    let queue = shared.queue.lock().unwrap();
    let key = (fd, true);
    queue.filters.get(&key).is_some_and(|filter| filter.is_there(key))
}

impl Filter {
    fn is_there(&self, key: Key) -> bool {
        borrow(key.0).and_then(file) == Ok(self.file)
    }
}

impl Queue {
    fn change(
        &mut self,
        visible: BorrowedFd<'_>,
        key: Key,
        change: &Event,
        system: System,
    ) -> io::Result<()> {
        let open = borrow(key.0).and_then(|fd| Ok((fd, file(fd)?)));
        // A filter left when its descriptor was closed, though nothing has
        // shown it before now.
        self.filters.retain(|(number, _), filter| {
            *number != key.0 || open.is_ok_and(|(_, file)| filter.file == file)
        });
        let flags = change.flags();
        let add = flags.contains(EventFlags::ADD);
        let (fd, file) = open.map_err(|_| system.closed(add))?;
        if flags.contains(EventFlags::DELETE) {
            self.filters.remove(&key).ok_or(Errno::NOENT)?;
            return self.unwatch(visible, key, fd);
        }
        let known = self.filters.contains_key(&key);
        if !known {
            if !add {
                return Err(Errno::NOENT);
            }
            if key.1 && file.kind == FileType::Fifo && is_broken(fd)? {
                system.broken_pipe()?;
            }
            let (udata, serial) = (change.udata(), SERIAL.fetch_add(1, Ordering::Relaxed));
            let nested = is_queue(key.0);
            self.filters.insert(key, Filter { flags, udata, enabled: true, serial, file, nested });
        }
        let filter = self.filters.get_mut(&key).unwrap();
        filter.udata = change.udata();
        // To add what is there does not enable it. To enable it alone does not
        // evaluate it again.
        let enabled = filter.enabled || flags.contains(EventFlags::ENABLE);
        filter.enabled = enabled && !flags.contains(EventFlags::DISABLE);
        if !filter.enabled {
            return self.unwatch(visible, key, fd);
        }
        let watched = if add { self.watch(visible, key, fd) } else { Ok(()) };
        if watched.is_err() {
            self.filters.remove(&key);
        }
        watched
    }

    fn writing<'a>(&'a mut self, visible: BorrowedFd<'_>) -> io::Result<&'a OwnedFd> {
        if self.writing.is_none() {
            let writing = epoll::create(CreateFlags::CLOEXEC)?;
            epoll::add(visible, &writing, EventData::new_u64(WRITING), Readiness::IN)?;
            self.writing = Some(writing);
        }
        Ok(self.writing.as_ref().unwrap())
    }

    /// Has the readiness reported, also if it is there already.
    fn watch(&mut self, visible: BorrowedFd<'_>, key: Key, fd: BorrowedFd<'_>) -> io::Result<()> {
        let Filter { flags, serial, file, .. } = self.filters[&key];
        let (instance, mut requested) = match key.1 {
            false => (visible, Readiness::IN | Readiness::RDHUP),
            true => (self.writing(visible)?.as_fd(), Readiness::OUT),
        };
        if flags.contains(EventFlags::CLEAR) {
            requested |= Readiness::ET;
        }
        let data = EventData::new_u64(serial);
        let added = match epoll::modify(instance, fd, data, requested) {
            Err(Errno::NOENT) => epoll::add(instance, fd, data, requested),
            result => result,
        };
        match added {
            Err(Errno::PERM) if file.kind == FileType::RegularFile => Ok(()),
            Err(Errno::PERM) => Err(Errno::INVAL),
            result => result,
        }
    }

    /// A regular file, or what was closed since, has nothing to end.
    fn unwatch(&mut self, visible: BorrowedFd<'_>, key: Key, fd: BorrowedFd<'_>) -> io::Result<()> {
        let instance = if key.1 { self.writing(visible)?.as_fd() } else { visible };
        match epoll::delete(instance, fd) {
            Err(Errno::NOENT | Errno::PERM) => Ok(()),
            result => result,
        }
    }

    /// What is ready now, at most so much.
    fn collect(
        &mut self,
        visible: BorrowedFd<'_>,
        room: usize,
        system: System,
    ) -> io::Result<Vec<Event>> {
        let mut reported = Vec::new();
        let mut left = HashSet::new();
        self.writing_first ^= true;
        for write in [self.writing_first, !self.writing_first] {
            let mut found = self.ready_in(visible, write, room - reported.len())?;
            found.truncate(room - reported.len());
            for (serial, readiness) in found {
                let key = self
                    .filters
                    .iter()
                    .find(|(_, filter)| filter.serial == serial)
                    .map(|(key, _)| *key);
                match key.filter(|key| self.filters[key].is_there(*key)) {
                    Some(key) => {
                        let event = self.event(visible, key, readiness, system)?;
                        let once = EventFlags::CLEAR | EventFlags::DISPATCH | EventFlags::ONESHOT;
                        if event.is_some_and(|event| !event.flags().intersects(once)) {
                            left.insert(serial);
                        }
                        reported.extend(event);
                    }
                    // Its descriptor was closed, but the file lives on, and
                    // stays in epoll.
                    None => self.renew(visible, write)?,
                }
            }
        }
        let mut queued = QUEUED.lock().unwrap();
        self.filters.values().for_each(|filter| _ = queued.remove(&filter.serial));
        queued.extend(left);
        Ok(reported)
    }

    fn ready_in(
        &self,
        visible: BorrowedFd<'_>,
        write: bool,
        room: usize,
    ) -> io::Result<Vec<(u64, Readiness)>> {
        let instance = if write { self.writing.as_ref().map(AsFd::as_fd) } else { Some(visible) };
        let mut found = Vec::new();
        if let Some(instance) = instance.filter(|_| room > 0) {
            let mut ready = Vec::with_capacity(room);
            epoll::wait(instance, rustix::buffer::spare_capacity(&mut ready), Some(&ZERO))?;
            for event in ready {
                if event.data.u64() != WRITING {
                    found.push((event.data.u64(), event.flags));
                }
            }
        }
        // epoll knows nothing of these.
        let files = self.filters.iter().filter(|(key, filter)| {
            key.1 == write && filter.enabled && filter.file.kind == FileType::RegularFile
        });
        found.extend(files.map(|(_, filter)| (filter.serial, Readiness::empty())));
        let nested = self.filters.iter().filter(|(key, filter)| {
            key.1 == write
                && filter.nested
                && filter.enabled
                && !filter.flags.contains(EventFlags::CLEAR)
        });
        for (key, filter) in nested {
            let known = found.iter().any(|(serial, _)| *serial == filter.serial);
            if !known && has_queued(key.0, &QUEUED.lock().unwrap()) {
                found.push((filter.serial, Readiness::empty()));
            }
        }
        Ok(found)
    }

    /// Returns the event of a filter, and changes the filter as that event
    /// does.
    fn event(
        &mut self,
        visible: BorrowedFd<'_>,
        key: Key,
        readiness: Readiness,
        system: System,
    ) -> io::Result<Option<Event>> {
        let fd = borrow(key.0)?;
        let filter = self.filters.get_mut(&key).unwrap();
        let data = if key.1 { 1 } else { io::ioctl_fionread(fd).unwrap_or(1) };
        if filter.file.kind == FileType::RegularFile && data == 0 {
            return Ok(None); // at its end a file is not readable
        }
        let broken = filter.file.kind == FileType::Fifo && readiness.contains(Readiness::ERR);
        let mut flags = filter.flags;
        flags.set(
            EventFlags::EOF,
            broken || readiness.intersects(Readiness::HUP | Readiness::RDHUP),
        );
        if system == System::FreeBsd && broken && key.1 {
            flags |= EventFlags::ONESHOT;
        }
        let what = if key.1 { EventFilter::Write(key.0) } else { EventFilter::Read(key.0) };
        let event = Event::new(what, flags, filter.udata).with(flags, i64::try_from(data).unwrap());
        if flags.contains(EventFlags::ONESHOT) {
            self.filters.remove(&key);
            self.unwatch(visible, key, fd)?;
        } else if flags.contains(EventFlags::DISPATCH) {
            filter.enabled = false;
            self.unwatch(visible, key, fd)?;
        }
        Ok(Some(event))
    }

    /// Recreates an instance from the filters whose descriptors are still what
    /// they were.
    fn renew(&mut self, visible: BorrowedFd<'_>, write: bool) -> io::Result<()> {
        self.filters.retain(|key, filter| filter.is_there(*key));
        if write {
            self.writing = None;
        } else {
            let fresh = epoll::create(CreateFlags::CLOEXEC)?;
            // SAFETY: what is there is an epoll instance and goes on being one.
            // This is never dropped.
            let mut number =
                ManuallyDrop::new(unsafe { OwnedFd::from_raw_fd(visible.as_raw_fd()) });
            io::dup3(&fresh, &mut number, DupFlags::CLOEXEC)?;
            if let Some(writing) = &self.writing {
                epoll::add(visible, writing, EventData::new_u64(WRITING), Readiness::IN)?;
            }
        }
        let keys: Vec<Key> =
            self.filters.iter().filter(|(_, it)| it.enabled).map(|(key, _)| *key).collect();
        for key in keys.into_iter().filter(|key| key.1 == write) {
            self.watch(visible, key, borrow(key.0)?)?;
        }
        Ok(())
    }
}
