//! What the rows share: pairs of descriptors, and the kernel's list of what is
//! watched.

use rustix::fd::{BorrowedFd, RawFd};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, LazyLock, Mutex, PoisonError, RwLock};
use std::time::Duration;

use selectors_core::backend::{Any, Backend, Poll};
use selectors_core::storage::{Fixed, Storage};
use selectors_core::{Error, Events, Kind, Mode, SelectResult, Selector, WakeCell};
use selectors_std::Growable;

use super::needs;

#[cfg_attr(unix, path = "unix/sources.rs")]
#[cfg_attr(windows, path = "windows/sources.rs")]
mod sources;
#[allow(unused_imports, reason = "the other tests use a part of it")]
pub use sources::{Raw, UnixStream, apart, beyond_select, dup, many, raw};

/// Long enough that a test which needs it has failed.
pub const SOON: Option<Duration> = Some(Duration::from_secs(20));
/// Does not wait.
pub const NOW: Option<Duration> = Some(Duration::ZERO);

/// A key table under test.
pub trait Table: Storage<Wake: Debug + Send + Sync + 'static> + 'static {
    /// How many keys it holds, where that is bounded.
    const CAPACITY: Option<usize>;
    /// A cell for a waker.
    fn cell() -> Self::Wake;
}

/// The cells of tables without an allocator live as long as the process, and
/// keep a descriptor. A row that has ended leaves its cells to the next rows.
static FREE: Mutex<Vec<&'static WakeCell>> = Mutex::new(Vec::new());

thread_local! {
    static USED: RefCell<Vec<&'static WakeCell>> = const { RefCell::new(Vec::new()) };
}

/// Is locked for writing while a process is started, and for reading by each
/// row.
///
/// Until its exec, a new process has a copy of each descriptor, so what a row
/// closes would stay open.
pub static STARTS: RwLock<()> = RwLock::new(());

/// Runs a row. Its selectors are closed when it has ended.
#[allow(dead_code, reason = "only the contract has rows")]
pub fn run<B: Kernel>(row: fn()) {
    let _no_start = STARTS.read().unwrap_or_else(PoisonError::into_inner);
    let before = open_descriptors();
    row();
    B::forget_closed();
    let mut cells = USED.take();
    if let (Some(before), Some(after)) = (before, open_descriptors()) {
        // A cell may keep one descriptor that is current, and two to which a
        // wake may still be written.
        let most = before + 3 * cells.len();
        assert!(
            after <= most,
            "{before} descriptors were open before the row, and {after} are after it"
        );
    }
    FREE.lock().unwrap_or_else(PoisonError::into_inner).append(&mut cells);
}

/// How many descriptors the process has open, where the system lists them and
/// no other test runs.
fn open_descriptors() -> Option<usize> {
    static ALONE: LazyLock<bool> =
        LazyLock::new(|| std::env::args().any(|arg| arg == "--test-threads=1"));
    let list = std::fs::read_dir("/proc/self/fd").ok().filter(|_| cfg!(unix) && *ALONE)?;
    Some(list.count())
}

impl<const N: usize> Table for Fixed<N> {
    const CAPACITY: Option<usize> = Some(N);
    fn cell() -> Self::Wake {
        let free = FREE.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let cell = free.unwrap_or_else(|| Box::leak(Box::default()));
        USED.with_borrow_mut(|used| used.push(cell));
        cell
    }
}

impl Table for Growable {
    const CAPACITY: Option<usize> = None;
    fn cell() -> Self::Wake {
        Arc::new(WakeCell::new())
    }
}

/// What a kernel's set holds: for each descriptor its event bits and the user
/// data.
pub type KernelSet = BTreeMap<RawFd, Vec<(u32, u64)>>;

selectors_core::if_epoll! {
    pub type Best = selectors_core::backend::Epoll;
}
selectors_core::if_kqueue! {
    pub type Best = selectors_core::backend::Kqueue;
}
selectors_core::if_no_queue! {
    pub type Best = Poll<Growable>;
}

/// What a backend reports of a descriptor that has hung up or has a pending
/// error.
#[derive(Clone, Copy, Debug)]
pub struct Reports {
    pub hangup: bool,
    pub error: bool,
    /// Whether `READ_HANGUP` can be requested alone.
    pub read_hangup: bool,
    /// Whether it is known exactly which of them it reports for what.
    pub exact: bool,
}

impl Reports {
    /// What a backend of this kind reports on this platform.
    pub fn of(kind: Kind) -> Self {
        Self {
            hangup: kind.reports_hangup(),
            error: kind.reports_error(),
            read_hangup: kind.supports_read_hangup(),
            exact: Kind::Epoll.is_available() || kind == Kind::Kqueue,
        }
    }
}

/// A backend under test.
pub trait Kernel: Backend {
    /// The same with room for three events per wait, where that is bounded.
    type Small: Kernel;
    /// The one to be watched by another selector: the best of the platform, or
    /// of the emulated one.
    type Inner: Kernel;

    /// What this backend reports, as its kind says for this platform, or for
    /// the one that is emulated.
    fn reports(kind: Kind) -> Reports {
        Reports::of(kind)
    }

    /// Closes what an emulation has kept of selectors that are closed.
    fn forget_closed() {}

    /// What the kernel says it watches for this selector, where it says so.
    ///
    /// On epoll this borrows the selector's descriptor, which counts as handing
    /// it out.
    fn watched<S, D, M: Table>(_selector: &Selector<Self, S, D, M>) -> Option<KernelSet> {
        None
    }

    /// The selector's own descriptor, where its type promises one.
    fn fileno<S, D, M: Table>(_selector: &Selector<Self, S, D, M>) -> Option<BorrowedFd<'_>> {
        None
    }
}

impl<M: Storage> Kernel for Poll<M> {
    type Small = Self;
    type Inner = Best;
}

selectors_core::if_select! {
    impl<M: Storage> Kernel for selectors_core::backend::Select<M> {
        type Small = Self;
        type Inner = Best;
    }
}

selectors_core::if_kqueue! {
    impl<const BATCH: usize> Kernel for selectors_core::backend::Kqueue<BATCH> {
        type Small = selectors_core::backend::Kqueue<3>;
        type Inner = Best;

        fn fileno<S, D, M: Table>(selector: &Selector<Self, S, D, M>) -> Option<BorrowedFd<'_>> {
            Some(rustix::fd::AsFd::as_fd(selector))
        }
    }
}

selectors_core::if_epoll! {
    impl<const BATCH: usize> Kernel for selectors_core::backend::Epoll<BATCH> {
        type Small = selectors_core::backend::Epoll<3>;
        type Inner = Best;

        fn watched<S, D, M: Table>(selector: &Selector<Self, S, D, M>) -> Option<KernelSet> {
            needs::fdinfo().then(|| fdinfo(rustix::fd::AsRawFd::as_raw_fd(selector)))
        }

        fn fileno<S, D, M: Table>(selector: &Selector<Self, S, D, M>) -> Option<BorrowedFd<'_>> {
            Some(rustix::fd::AsFd::as_fd(selector))
        }
    }
}

impl<M: Table, const BATCH: usize> Kernel for Any<M, BATCH> {
    type Small = Any<M, 3>;
    type Inner = Best;
}

/// `/proc/self/fdinfo` of an epoll descriptor: the lines `tfd: events: data:`.
#[allow(dead_code, reason = "only where there is epoll")]
pub fn fdinfo(epoll: RawFd) -> KernelSet {
    let text = std::fs::read_to_string(format!("/proc/self/fdinfo/{epoll}")).unwrap();
    let mut set = KernelSet::new();
    for line in text.lines().filter(|line| line.starts_with("tfd:")) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let events = u32::from_str_radix(words[3], 16).unwrap();
        let data = u64::from_str_radix(words[5], 16).unwrap();
        set.entry(words[1].parse().unwrap()).or_default().push((events, data));
    }
    set
}

/// Table and kernel must agree: the same descriptors, the same events and
/// modes.
pub fn agree<B: Kernel, S, D, M: Table>(selector: &Selector<B, S, D, M>) {
    agree_with_wakers(selector, 0);
}

/// As `agree`, with so many wakers.
pub fn agree_with_wakers<B: Kernel, S, D, M: Table>(
    selector: &Selector<B, S, D, M>,
    wakers: usize,
) {
    let Some(mut kernel) = B::watched(selector) else { return };
    for key in selector.get_map() {
        if key.is_paused() {
            continue;
        }
        let entries = kernel.remove(&key.fd).unwrap_or_default();
        // A delivered one-shot that was paused and resumed comes back when it
        // is modified.
        if entries.is_empty() && key.mode == Mode::OneShot {
            continue;
        }
        assert_eq!(entries.len(), 1, "descriptor {} in the kernel: {entries:?}", key.fd);
        let (bits, _) = entries[0];
        let mut requested = u32::from(key.events.bits());
        if key.events.contains(Events::READ) {
            requested |= 0x2000;
        }
        let fired = key.mode == Mode::OneShot && bits & 0x2007 == 0;
        assert!(
            fired || bits & 0x2007 == requested,
            "descriptor {}: {bits:#x}, requested {requested:#x}",
            key.fd
        );
        assert_eq!(bits >> 31 == 1, key.mode == Mode::Edge, "{bits:#x}");
        assert_eq!(bits >> 30 & 1 == 1, key.mode == Mode::OneShot, "{bits:#x}");
    }
    assert_eq!(kernel.len(), wakers, "watched by the kernel only: {kernel:?}");
}

/// A connected pair that does not block.
pub fn pair() -> (UnixStream, UnixStream) {
    needs::limit();
    let (one, two) = UnixStream::pair().unwrap();
    one.set_nonblocking(true).unwrap();
    two.set_nonblocking(true).unwrap();
    (one, two)
}

/// A connected pair of TCP. Its listener is closed, and the second end keeps
/// the listener's port.
pub fn tcp() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let one = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (one, listener.accept().unwrap().0)
}

/// How many events a wait has found.
pub trait Found {
    /// The number of events of a wait that no waker has ended.
    fn events(self) -> Result<usize, Error>;
    /// The number of events of a wait that a waker has ended.
    fn woken_and(self) -> Result<usize, Error>;
}

impl Found for Result<SelectResult, Error> {
    fn events(self) -> Result<usize, Error> {
        self.map(|result| {
            assert!(!result.woken(), "{result:?}");
            result.events()
        })
    }

    fn woken_and(self) -> Result<usize, Error> {
        self.map(|result| {
            assert!(result.woken() && !result.timed_out() && !result.interrupted(), "{result:?}");
            result.events()
        })
    }
}

/// Waits, and takes all that is ready: descriptor and events, by descriptor.
pub fn ready<B: Backend, S, D, M: Storage>(
    selector: &mut Selector<B, S, D, M>,
    timeout: Option<Duration>,
) -> BTreeMap<RawFd, Events> {
    selector.select(timeout).unwrap();
    let mut all = BTreeMap::new();
    while let Some((key, events)) = selector.next_ready() {
        assert!(all.insert(key.fd, events).is_none(), "descriptor {} was reported twice", key.fd);
    }
    all
}
