/// How a wait of [`Selector::select`](crate::Selector::select) has ended.
///
/// A program that only handles ready keys can ignore it:
/// [`next_ready`](crate::Selector::next_ready) returns `None` if no key is
/// ready.
///
/// # Examples
///
/// ```
/// # #[cfg(feature = "std")] {
/// # use selectors_core::{DefaultSelector, Events};
/// # use std::{io::Write, os::unix::net::UnixStream, time::Duration};
/// # let (ours, mut theirs) = UnixStream::pair()?;
/// # let mut selector = DefaultSelector::<_, _, 4>::new()?;
/// selector.register(ours, Events::READ, ())?;
/// let tick = Some(Duration::from_millis(2));
/// assert!(selector.select(tick)?.timed_out());
///
/// theirs.write_all(b"!")?;
/// let result = selector.select(tick)?;
/// assert_eq!(result.events(), 1);
/// assert!(!result.timed_out() && !result.woken() && !result.interrupted());
/// # }
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SelectResult {
    events: usize,
    woken: bool,
    interrupted: bool,
    replaced: bool,
}

impl SelectResult {
    pub(crate) const TIMED_OUT: Self =
        Self { events: 0, woken: false, interrupted: false, replaced: false };
    pub(crate) const INTERRUPTED: Self = Self { interrupted: true, ..Self::TIMED_OUT };
    pub(crate) const REPLACED: Self = Self { replaced: true, ..Self::TIMED_OUT };

    pub(crate) const fn events_only(events: usize) -> Self {
        Self { events, ..Self::TIMED_OUT }
    }

    pub(crate) const fn wake_and(events: usize) -> Self {
        Self { events, woken: true, ..Self::TIMED_OUT }
    }

    /// Returns the number of pending events, an upper bound for the ready keys.
    ///
    /// [`next_ready`](crate::Selector::next_ready) may return fewer keys, since
    /// events of keys that are unregistered, paused or modified are dropped
    /// later. A wake does not count.
    #[must_use]
    pub const fn events(&self) -> usize {
        self.events
    }

    /// Returns whether a [`Waker`](crate::Waker) has ended the wait.
    ///
    /// It may be true without a new wake, as the last wake may be reported
    /// twice. That happens only if the selector has replaced its epoll
    /// instance. [`Selector::select`](crate::Selector::select) says when it
    /// does so.
    #[must_use]
    pub const fn woken(&self) -> bool {
        self.woken
    }

    /// Returns whether a signal has ended the wait.
    #[must_use]
    pub const fn interrupted(&self) -> bool {
        self.interrupted
    }

    /// Returns whether the timeout has passed and nothing else has happened.
    ///
    /// This is never true before the timeout.
    #[must_use]
    pub const fn timed_out(&self) -> bool {
        self.events == 0 && !self.woken && !self.interrupted && !self.replaced
    }

    /// Returns whether the selector has replaced its epoll instance.
    ///
    /// This is only reported if the selector's descriptor had been handed out,
    /// and once for each replacement. The selector keeps its descriptor number
    /// and every key.
    ///
    /// **An outer selector still watches the old instance.** Unregister the
    /// inner selector there, and register it again.
    /// [`Selector::select`](crate::Selector::select) says when that happens.
    #[must_use]
    pub const fn replaced(&self) -> bool {
        self.replaced
    }
}
