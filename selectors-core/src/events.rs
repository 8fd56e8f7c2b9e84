use bitflags::bitflags;

bitflags! {
    /// A set of readiness flags, for an interest and for what is reported.
    ///
    /// [`READ`](Self::READ), [`WRITE`](Self::WRITE), [`PRIORITY`](Self::PRIORITY) and
    /// [`READ_HANGUP`](Self::READ_HANGUP) can be requested. [`ERROR`](Self::ERROR) and
    /// [`HANGUP`](Self::HANGUP) are output-only. They are reported where the backend
    /// detects them, whatever the interest is.
    ///
    /// A hang-up or an error also counts as `READ` and as `WRITE`, as far as the key is
    /// registered for these. So a program that looks at nothing else is woken up, and its
    /// next `read` or `write` returns the end or the error.
    ///
    /// What is requested of each system call:
    ///
    /// | interest | epoll | poll | select | kqueue |
    /// |---|---|---|---|---|
    /// | `READ` | `EPOLLIN`, `EPOLLRDHUP` | `POLLIN`, `POLLRDHUP` | read set | `EVFILT_READ` |
    /// | `WRITE` | `EPOLLOUT` | `POLLOUT` | write set | `EVFILT_WRITE` |
    /// | `PRIORITY` | `EPOLLPRI` | `POLLPRI` | exceptional set | `Unsupported` |
    /// | `READ_HANGUP` alone | `EPOLLRDHUP` | `POLLRDHUP` | `Unsupported` | `Unsupported` |
    /// | [`edge`](Self::edge) | `EPOLLET` | `Unsupported` | `Unsupported` | `EV_CLEAR` |
    /// | [`one_shot`](Self::one_shot) | `EPOLLONESHOT` | the entry leaves the array | the bit leaves the set | `EV_DISPATCH` |
    ///
    /// What it reports:
    ///
    /// | event | epoll | poll | select | kqueue |
    /// |---|---|---|---|---|
    /// | `READ` | `EPOLLIN`, or any hang-up or error | `POLLIN`, or any hang-up or error | read set | `EVFILT_READ` |
    /// | `WRITE` | `EPOLLOUT`, `EPOLLHUP`, `EPOLLERR` | `POLLOUT`, `POLLHUP`, `POLLERR` | write set | `EVFILT_WRITE` |
    /// | `PRIORITY` | `EPOLLPRI` | `POLLPRI` | exceptional set | never |
    /// | `ERROR` | `EPOLLERR` | `POLLERR` | never | never |
    /// | `HANGUP` | `EPOLLHUP` | `POLLHUP` | never | `EV_EOF` on `EVFILT_WRITE` |
    /// | `READ_HANGUP` | `EPOLLRDHUP` | `POLLRDHUP` | never | `EV_EOF` on `EVFILT_READ` |
    /// | none, a closed descriptor | leaves the set | `POLLNVAL`: the key is no longer watched | `EBADF`: the key is no longer watched | leaves the set |
    ///
    /// The `select` call reports a hang-up as readable, and an error as readable and writable.
    /// `read`, `write` or [`SelectorKey::take_error`] return which of them it was. `POLLRDHUP`
    /// exists on Linux, Android, FreeBSD and illumos. Elsewhere poll reports a half-close as
    /// `READ` only, and `READ_HANGUP` alone is `Unsupported`. `POLLRDNORM`, `POLLRDBAND`,
    /// `POLLWRNORM` and `POLLWRBAND` are not used, because they repeat the bits above on every
    /// platform here.
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
    // The values are those of Linux's poll(2), so that there the translation of what the
    // kernel reports is a mask and no table.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct Events: u16 {
        /// Data can be read, a connection accepted, or the end of the stream was reached.
        #[doc(alias = "EVENT_READ")]
        #[doc(alias = "POLLIN")]
        #[doc(alias = "POLLRDNORM")]
        #[doc(alias = "EPOLLIN")]
        #[doc(alias = "EPOLLRDNORM")]
        #[doc(alias = "EVFILT_READ")]
        #[doc(alias = "KQ_FILTER_READ")]
        #[doc(alias = "READABLE")]
        const READ = 0x1;
        /// Urgent data: out-of-band bytes of a TCP stream, a GPIO edge, a pressure (PSI) trigger.
        #[doc(alias = "POLLPRI")]
        #[doc(alias = "POLLRDBAND")]
        #[doc(alias = "EPOLLPRI")]
        #[doc(alias = "EPOLLRDBAND")]
        #[doc(alias = "exceptfds")]
        const PRIORITY = 0x2;
        /// Data can be written, or a connection attempt has ended.
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
        /// An error is pending, or the reading end of a pipe was closed. Output-only.
        #[doc(alias = "POLLERR")]
        #[doc(alias = "EPOLLERR")]
        const ERROR = 0x8;
        /// Both directions are closed, or the other end of a pipe or terminal. Output-only.
        #[doc(alias = "POLLHUP")]
        #[doc(alias = "EPOLLHUP")]
        const HANGUP = 0x10;
        /// The peer will send no more. What it has sent can still be read.
        ///
        /// `READ` includes it. Alone it reports the end without the data before it, where
        /// [`Kind::supports_read_hangup`](crate::Kind::supports_read_hangup) returns true.
        #[doc(alias = "POLLRDHUP")]
        #[doc(alias = "EPOLLRDHUP")]
        #[doc(alias = "EV_EOF")]
        #[doc(alias = "KQ_EV_EOF")]
        const READ_HANGUP = 0x2000;
    }
}

impl Events {
    /// Everything that can be requested.
    pub(crate) const REQUESTABLE: Self =
        Self::READ.union(Self::WRITE).union(Self::PRIORITY).union(Self::READ_HANGUP);

    /// Reports these events once, then disarms the key.
    ///
    /// The key stays registered. [`modify`](crate::Selector::modify) arms it again.
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
    /// assert!(selector.select(Some(Duration::ZERO))?.timed_out()); // though nothing was read
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

    /// Reports these events when the descriptor becomes ready, not as long as it is.
    ///
    /// This is edge-triggered interest, which epoll and kqueue support.
    ///
    /// **Note:** read, write or accept until `WouldBlock` before the next wait. Otherwise the
    /// remaining data is not reported again, and the connection stalls. If a handler has to stop
    /// before that, [`modify`](crate::Selector::modify) to the same interest reports what is
    /// still ready once more.
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
    ///     selector.modify(&ours, Events::READ.edge())?; // report it again: nothing was read
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

    /// Returns what is reported through a mask when the kernel reports `self`.
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
    /// By every wait, as long as the descriptor is ready. This is the mode of plain [`Events`].
    #[default]
    Level,
    /// When the descriptor becomes ready, or more data arrives. See [`Events::edge`].
    Edge,
    /// Once, then not before [`Selector::modify`](crate::Selector::modify). See [`Events::one_shot`].
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
    /// The events, at least one of them.
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
mod tests {
    use super::{Events, Interest, Mode};

    #[test]
    fn four_bits_can_be_requested() {
        for bits in 0..=u16::MAX {
            let events = Events::from_bits_retain(bits);
            assert_eq!(events.can_be_requested(), bits != 0 && bits & !0x2007 == 0, "{bits:#x}");
        }
    }

    #[test]
    fn hang_up_and_error_count_as_readiness() {
        let (read, write) = (Events::READ, Events::WRITE);
        for gone in [Events::HANGUP, Events::ERROR, Events::HANGUP | Events::ERROR] {
            assert_eq!(gone.reported(read.mask()), gone | read);
            assert_eq!(gone.reported(write.mask()), gone | write);
            assert_eq!(gone.reported((read | write).mask()), gone | read | write);
            assert_eq!(gone.reported(Events::PRIORITY.mask()), gone);
        }
        assert_eq!(Events::READ_HANGUP.reported(read.mask()), Events::READ_HANGUP | read);
        assert_eq!(Events::READ_HANGUP.reported(write.mask()), Events::empty());
        assert_eq!(read.reported(write.mask()), Events::empty());
    }

    #[test]
    fn events_alone_are_level() {
        assert_eq!(Interest::from(Events::READ), Events::READ.with_mode(Mode::Level));
    }
}
