//! What differs between the kernels, each with its name as a type, so that it
//! can be a backend's parameter.

use std::cell::Cell;
use std::time::Duration;

use rustix::io::Errno;
use selectors_core::Error;

use super::layer::{Layer, Layered};
use super::{Kqueue, queue};

/// A kernel, as its source has it or as it behaved when its code was run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum System {
    /// What the manuals say, and `EPIPE` for a broken pipe.
    Plain,
    /// A broken pipe is `EBADF`, and time is counted in ticks.
    NetBsd,
    /// The filter of a pipe whose reader is closed fires once and is deleted.
    FreeBsd,
    /// Broken pipes are not refused. What is not there is `ENOENT`, whether the
    /// descriptor is open or not.
    MacOs,
    /// A kernel of before `EV_RECEIPT`: a change that is made is not
    /// acknowledged.
    NoReceipts,
}

thread_local! {
    static CURRENT: Cell<System> = const { Cell::new(System::Plain) };
}

impl System {
    pub const ALL: [Self; 5] =
        [Self::Plain, Self::NetBsd, Self::FreeBsd, Self::MacOs, Self::NoReceipts];

    /// Runs `action`. The queues that this thread opens in it are this
    /// kernel's. What is kept of closed ones is dropped.
    pub fn run<T>(self, action: impl FnOnce() -> T) -> T {
        let outer = CURRENT.replace(self);
        let result = action();
        CURRENT.set(outer);
        queue::end_closed();
        result
    }

    pub fn current() -> Self {
        CURRENT.get()
    }

    /// The result of a change of a filter that can't be there, because the
    /// descriptor is closed.
    pub fn closed(self, adds: bool) -> Errno {
        if self == Self::MacOs && !adds { Errno::NOENT } else { Errno::BADF }
    }

    /// The result of adding the filter for writing of a pipe without a reader.
    pub fn broken_pipe(self) -> Result<(), Errno> {
        match self {
            Self::NetBsd => Err(Errno::BADF),
            Self::MacOs => Ok(()),
            Self::Plain | Self::FreeBsd | Self::NoReceipts => Err(Errno::PIPE),
        }
    }

    /// How long a wait lasts, at least: NetBSD rounds up to ticks of its clock,
    /// and adds the one under way.
    pub fn rounded(self, time: Duration) -> Duration {
        const TICK: Duration = Duration::from_millis(10);
        if self != Self::NetBsd {
            return time;
        }
        let ticks = u32::try_from(time.as_nanos().div_ceil(TICK.as_nanos()) + 1);
        ticks.ok().and_then(|ticks| TICK.checked_mul(ticks)).unwrap_or(time)
    }
}

/// A kernel as a type.
pub trait Emulated: Layer + Send + Sync + 'static {
    const SYSTEM: System;
}

macro_rules! systems {
    ($($name:ident)*) => {
        $(pub struct $name;

        impl Emulated for $name {
            const SYSTEM: System = System::$name;
        }

        impl Layer for $name {
            fn open<B>(open: impl FnOnce() -> Result<B, Error>) -> Result<B, Error> {
                System::$name.run(open)
            }
        })*
    };
}
systems! { NetBsd FreeBsd MacOs NoReceipts }

/// The backend on the kernel `E`.
pub type On<E, const BATCH: usize = 64> = Layered<Kqueue<BATCH>, E>;
