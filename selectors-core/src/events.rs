use bitflags::bitflags;

bitflags! {
    /// A set of readiness flags, for interest and for what is reported.
    ///
    /// [`READ`](Self::READ), [`WRITE`](Self::WRITE),
    /// [`PRIORITY`](Self::PRIORITY) and [`READ_HANGUP`](Self::READ_HANGUP) can
    /// be requested. [`ERROR`](Self::ERROR) and [`HANGUP`](Self::HANGUP) are
    /// output-only: they are reported where the backend detects them, whatever
    /// the interest is.
    ///
    /// A hang-up or an error is also reported as `READ` and as `WRITE`, as far
    /// as the key is registered for these. So a program that looks at nothing
    /// else is woken up, and its next `read` or `write` returns the end or the
    /// error.
    ///
    /// In the tables the flags of `poll` stand for those of epoll, too: the
    /// flag `POLLIN` of `poll` is `EPOLLIN` of epoll.
    ///
    /// # Interest
    ///
    /// This is what is requested of each system call:
    ///
    /// | interest | epoll, poll | select | kqueue |
    /// |---|---|---|---|
    /// | `READ` | `POLLIN` and `POLLRDHUP` | read set | read filter |
    /// | `WRITE` | `POLLOUT` | write set | write filter |
    /// | `PRIORITY` | `POLLPRI` | exception set | - |
    /// | `READ_HANGUP` alone | `POLLRDHUP` | - | - |
    ///
    /// Where a dash stands, `register` returns
    /// [`Error::Unsupported`](crate::Error::Unsupported). The filters of kqueue
    /// are `EVFILT_READ` and `EVFILT_WRITE`.
    ///
    /// `POLLRDHUP` exists on Linux, Android, FreeBSD and illumos. On other
    /// platforms poll does not support `READ_HANGUP` alone. `POLLRDNORM`,
    /// `POLLRDBAND`, `POLLWRNORM` and `POLLWRBAND` are not used on Unix,
    /// because they repeat the flags above. The page on
    /// [portability](crate::portability#windows) has the flags of Windows.
    ///
    /// # Reported events
    ///
    /// This is what the backend finds for each event. The selector reports the
    /// events of the key's interest, and the output-only flags:
    ///
    /// | event | epoll, poll | select | kqueue |
    /// |---|---|---|---|
    /// | `READ` | `POLLIN`, or any hang-up or error | read set | read filter |
    /// | `WRITE` | `POLLOUT`, `POLLHUP`, `POLLERR` | write set | write filter |
    /// | `PRIORITY` | `POLLPRI` | exception set | never |
    /// | `ERROR` | `POLLERR` | never | never |
    /// | `HANGUP` | `POLLHUP` | never | end, writing |
    /// | `READ_HANGUP` | `POLLRDHUP` | never | end, reading |
    ///
    /// The end on kqueue is `EV_EOF` on that filter. The `select` call reports
    /// a hang-up as readable, and an error as readable and writable. `read`,
    /// `write` or [`SelectorKey::take_error`] return which of them it was.
    /// Where `POLLRDHUP` does not exist, poll reports a half-close as `READ`
    /// only.
    ///
    /// # Modes
    ///
    /// This is how each backend implements a [`Mode`]:
    ///
    /// | backend | [`edge`](Self::edge) | [`one_shot`](Self::one_shot) |
    /// |---|---|---|
    /// | epoll | `EPOLLET` | `EPOLLONESHOT` |
    /// | kqueue | `EV_CLEAR` | `EV_DISPATCH` |
    /// | poll | - | the entry leaves the array |
    /// | select | - | the bit leaves the set |
    ///
    /// # Closed descriptors
    ///
    /// This is what happens to a key whose descriptor was closed without the
    /// selector's knowledge. It is never reported:
    ///
    /// | backend | what happens |
    /// |---|---|
    /// | epoll, kqueue | The descriptor leaves the kernel's set. |
    /// | poll | The kernel reports `POLLNVAL`, and the key is no longer watched. |
    /// | select | The call fails with `EBADF`, and the key is no longer watched. |
    ///
    /// See [`Selector::select`](crate::Selector::select) for duplicates of a
    /// closed descriptor on epoll.
    ///
    /// # Examples
    ///
    /// ```
    /// # use selectors_core::Events;
    /// let both = Events::READ | Events::WRITE;
    /// assert!(both.is_readable() && both.is_writable());
    /// assert!(!Events::READ.intersects(Events::PRIORITY));
    /// ```
    ///
    /// [`SelectorKey::take_error`]: crate::SelectorKey::take_error
    // The values are those of Linux's poll(2), so that there the translation of
    // what the kernel reports is a mask and no table.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct Events: u16 {
        /// A read or an `accept` will not block.
        ///
        /// There is data, or a connection to accept, or the stream has ended.
        /// Python's `EVENT_READ`.
        #[doc(alias = "EVENT_READ")]
        #[doc(alias = "POLLIN")]
        #[doc(alias = "POLLRDNORM")]
        #[doc(alias = "EPOLLIN")]
        #[doc(alias = "EPOLLRDNORM")]
        #[doc(alias = "EVFILT_READ")]
        #[doc(alias = "KQ_FILTER_READ")]
        #[doc(alias = "READABLE")]
        const READ = 0x1;
        /// Urgent data can be read.
        ///
        /// This is out-of-band data of a TCP stream, an edge of a GPIO line, or
        /// a trigger of Linux's pressure stall information (PSI).
        #[doc(alias = "POLLPRI")]
        #[doc(alias = "POLLRDBAND")]
        #[doc(alias = "EPOLLPRI")]
        #[doc(alias = "EPOLLRDBAND")]
        #[doc(alias = "exceptfds")]
        const PRIORITY = 0x2;
        /// A write will not block, or an attempt to connect has ended.
        ///
        /// Python's `EVENT_WRITE`.
        #[doc(alias = "EVENT_WRITE")]
        #[doc(alias = "POLLOUT")]
        #[doc(alias = "POLLWRNORM")]
        #[doc(alias = "POLLWRBAND")]
        #[doc(alias = "EPOLLOUT")]
        #[doc(alias = "EPOLLWRNORM")]
        #[doc(alias = "EPOLLWRBAND")]
        #[doc(alias = "EVFILT_WRITE")]
        #[doc(alias = "KQ_FILTER_WRITE")]
        #[doc(alias = "WRITABLE")]
        const WRITE = 0x4;
        /// An error is pending, or the reading end of a pipe was closed.
        ///
        /// Output-only. [`take_error`](crate::SelectorKey::take_error) returns
        /// the error of a socket.
        #[doc(alias = "POLLERR")]
        #[doc(alias = "EPOLLERR")]
        const ERROR = 0x8;
        /// Both directions are closed, or the other end of a pipe or terminal.
        ///
        /// Output-only.
        #[doc(alias = "POLLHUP")]
        #[doc(alias = "EPOLLHUP")]
        const HANGUP = 0x10;
        /// The peer will send no more.
        ///
        /// What it has sent can still be read. `READ` includes this flag. Alone
        /// it reports the end without the data before it, where
        /// [`Kind::supports_read_hangup`](crate::Kind::supports_read_hangup)
        /// returns true.
        #[doc(alias = "POLLRDHUP")]
        #[doc(alias = "EPOLLRDHUP")]
        #[doc(alias = "EV_EOF")]
        #[doc(alias = "KQ_EV_EOF")]
        const READ_HANGUP = 0x2000;
    }
}

impl Events {
    /// The flags that can be requested.
    pub(crate) const REQUESTABLE: Self =
        Self::READ.union(Self::WRITE).union(Self::PRIORITY).union(Self::READ_HANGUP);

    /// Returns an interest that reports these events once.
    ///
    /// The key then stays registered but disarmed.
    /// [`modify`](crate::Selector::modify) arms it again.
    ///
    /// **Every `modify` of a disarmed key arms it**, also one with the same
    /// interest. To keep a key from being reported,
    /// [`pause`](crate::Selector::pause) it.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(feature = "std")] {
    /// # use selectors_core::{DefaultSelector, Events};
    /// use std::{io::Write, os::unix::net::UnixStream, time::Duration};
    ///
    /// let (ours, mut theirs) = UnixStream::pair()?;
    /// # let mut selector = DefaultSelector::<_, _, 4>::new()?;
    /// selector.register(&ours, Events::READ.one_shot(), ())?;
    /// theirs.write_all(b"!")?;
    /// selector.select(None)?;
    /// assert!(selector.next_ready().is_some());
    /// assert!(selector.select(Some(Duration::ZERO))?.timed_out()); // disarmed
    /// selector.modify(&ours, Events::READ.one_shot())?; // armed again
    /// assert_eq!(selector.select(None)?.events(), 1);
    /// # }
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[doc(alias = "EPOLLONESHOT")]
    #[doc(alias = "EV_DISPATCH")]
    #[doc(alias = "EV_ONESHOT")]
    #[doc(alias = "KQ_EV_ONESHOT")]
    #[must_use]
    pub const fn one_shot(self) -> Interest {
        self.with_mode(Mode::OneShot)
    }

    /// Returns an edge-triggered interest in these events.
    ///
    /// They are reported when the descriptor becomes ready or more data
    /// arrives, and not for as long as it stays ready. epoll and kqueue support
    /// this mode.
    ///
    /// **Read, write or accept until `WouldBlock` before the next wait.**
    /// Otherwise the remaining data is not reported again, and the connection
    /// stalls. A handler that stops earlier calls
    /// [`modify`](crate::Selector::modify) with the same interest, which
    /// reports again what is still ready.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(feature = "std")] {
    /// # use selectors_core::{AnySelector, Events};
    /// use std::{io::Write, os::unix::net::UnixStream, time::Duration};
    ///
    /// let (ours, mut theirs) = UnixStream::pair()?;
    /// # let mut selector = AnySelector::<_, _, 4>::new()?;
    /// if selector.kind().supports_edge() {
    ///     selector.register(&ours, Events::READ.edge(), ())?;
    ///     theirs.write_all(b"!")?;
    ///     selector.select(None)?;
    ///     assert!(selector.next_ready().is_some());
    ///     assert!(selector.select(Some(Duration::ZERO))?.timed_out()); // nothing new
    ///     theirs.write_all(b"!")?;
    ///     assert_eq!(selector.select(None)?.events(), 1);
    ///     assert!(selector.next_ready().is_some());
    ///     selector.modify(&ours, Events::READ.edge())?; // report it again
    ///     assert_eq!(selector.select(None)?.events(), 1);
    /// }
    /// # }
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[doc(alias = "EPOLLET")]
    #[doc(alias = "EV_CLEAR")]
    #[doc(alias = "KQ_EV_CLEAR")]
    #[must_use]
    pub const fn edge(self) -> Interest {
        self.with_mode(Mode::Edge)
    }

    /// Returns an interest in these events, in the given mode.
    ///
    /// # Examples
    ///
    /// ```
    /// # use selectors_core::{Events, Mode};
    ///
    /// assert_eq!(Events::READ.with_mode(Mode::Edge), Events::READ.edge());
    /// ```
    #[must_use]
    pub const fn with_mode(self, mode: Mode) -> Interest {
        Interest { events: self, mode }
    }

    /// Returns whether [`READ`](Self::READ) is among the events.
    #[must_use]
    pub const fn is_readable(self) -> bool {
        self.contains(Self::READ)
    }

    /// Returns whether [`WRITE`](Self::WRITE) is among the events.
    #[must_use]
    pub const fn is_writable(self) -> bool {
        self.contains(Self::WRITE)
    }

    /// Returns whether [`PRIORITY`](Self::PRIORITY) is among the events.
    #[must_use]
    pub const fn is_priority(self) -> bool {
        self.contains(Self::PRIORITY)
    }

    /// Returns whether [`ERROR`](Self::ERROR) is among the events.
    #[must_use]
    pub const fn is_error(self) -> bool {
        self.contains(Self::ERROR)
    }

    /// Returns whether [`HANGUP`](Self::HANGUP) is among the events.
    #[must_use]
    pub const fn is_hangup(self) -> bool {
        self.contains(Self::HANGUP)
    }

    /// Returns whether [`READ_HANGUP`](Self::READ_HANGUP) is among the events.
    #[must_use]
    pub const fn is_read_hangup(self) -> bool {
        self.contains(Self::READ_HANGUP)
    }

    pub(crate) const fn can_be_requested(self) -> bool {
        !self.is_empty() && Self::REQUESTABLE.contains(self)
    }

    /// Returns the events that may be reported for this interest.
    pub(crate) const fn mask(self) -> Self {
        let mask = self.union(Self::HANGUP).union(Self::ERROR);
        if self.contains(Self::READ) { mask.union(Self::READ_HANGUP) } else { mask }
    }

    /// Returns the events to report under a mask if the kernel reports `self`.
    #[inline]
    pub(crate) const fn reported(self, mask: Self) -> Self {
        // The common case costs one branch and one `and`.
        if self.intersects(Self::HANGUP.union(Self::ERROR).union(Self::READ_HANGUP)) {
            return self.with_readiness().intersection(mask);
        }
        self.intersection(mask)
    }

    /// Adds the readiness that a hang-up or an error implies.
    #[cold]
    const fn with_readiness(self) -> Self {
        if self.intersects(Self::HANGUP.union(Self::ERROR)) {
            self.union(Self::READ).union(Self::WRITE)
        } else {
            self.union(Self::READ)
        }
    }
}

/// When a ready descriptor is reported.
///
/// # Examples
///
/// ```
/// # use selectors_core::{Events, Mode};
///
/// assert_eq!(Events::READ.one_shot().mode, Mode::OneShot);
/// assert_eq!(Mode::default(), Mode::Level);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Mode {
    /// Every wait reports it for as long as the descriptor is ready.
    ///
    /// This is the mode of plain [`Events`].
    #[default]
    Level,
    /// It is reported when it becomes ready, or more data arrives.
    ///
    /// See [`Events::edge`].
    Edge,
    /// It is reported once, then disarmed until it is modified.
    ///
    /// See [`Events::one_shot`].
    OneShot,
}

/// The events to watch for, and the [`Mode`] in which to report them.
///
/// [`Events`] convert into a level-triggered interest.
///
/// # Examples
///
/// ```
/// # use selectors_core::{Events, Interest, Mode};
///
/// assert_eq!(Interest::from(Events::READ), Events::READ.with_mode(Mode::Level));
/// assert_eq!((Events::READ | Events::WRITE).one_shot().mode, Mode::OneShot);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Interest {
    /// The events to watch for, of which there must be at least one.
    pub events: Events,
    /// When they are reported.
    pub mode: Mode,
}

impl From<Events> for Interest {
    fn from(events: Events) -> Self {
        events.with_mode(Mode::Level)
    }
}

#[cfg(test)]
mod tests;
