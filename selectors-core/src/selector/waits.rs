use core::time::Duration;

use super::Selector;
use crate::backend::Backend;
use crate::engine::STEP;
use crate::entry::KeyMut;
use crate::error::Error;
use crate::events::Events;
use crate::select_result::SelectResult;
use crate::storage::Storage;

/// Waiting.
impl<B: Backend, S, D, M: Storage> Selector<B, S, D, M> {
    /// Waits for ready keys, a wake, a signal or the timeout.
    ///
    /// Then call [`next_ready`](Self::next_ready) until it returns `None`.
    ///
    /// The timeout `None` waits indefinitely, and zero does not wait. The
    /// timeout is a lower bound. On Linux and FreeBSD it is as exact as the
    /// kernel's timers. Elsewhere it may be rounded up to the kernel's ticks.
    ///
    /// **Pending events make this return immediately.** It makes no system call
    /// if `next_ready` was not called until it returned `None`. Otherwise it
    /// makes one: `epoll_wait`, `poll`, `select` or `kevent`. On epoll, a
    /// timeout with a fraction of a millisecond may take two or three.
    ///
    /// # Closed descriptors
    ///
    /// The descriptor of a [raw registration](Self::register_raw) can be closed
    /// without the selector's knowledge. Safe functions such as
    /// `rustix::stdio::dup2_stdin` can do that with descriptors 0 to 2.
    ///
    /// poll and select then stop watching the key. On epoll, a duplicate of the
    /// descriptor may be open. The kernel then keeps reporting its events, even
    /// after the key was unregistered. The selector drops these events, and
    /// recreates its epoll instance at the next wait. If the kernel refuses
    /// that, the selector keeps the old instance and tries again later. Until
    /// then a wait makes a system call every millisecond.
    ///
    /// # Errors
    ///
    /// - Returns [`Error::Os`] with `EINVAL` if poll has more descriptors than
    ///   `RLIMIT_NOFILE` allows.
    /// - Returns [`Error::Os`] with `ENOMEM` if the kernel has no memory, or
    ///   with another number if a sandbox forbids the call.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(feature = "std")] {
    /// # use selectors_core::{DefaultSelector, Events};
    /// # use std::{io::{Read, Write}, os::unix::net::UnixStream, time::Duration};
    /// # let (ours, mut theirs) = UnixStream::pair()?;
    /// # let mut selector = DefaultSelector::<_, _, 4>::new()?;
    /// selector.register(ours, Events::READ, ())?;
    /// assert!(selector.select(Some(Duration::from_micros(100)))?.timed_out());
    /// theirs.write_all(b"!")?;
    /// assert_eq!(selector.select(None)?.events(), 1);
    /// assert_eq!(selector.select(None)?.events(), 1); // still pending
    /// # }
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[doc(alias = "epoll_wait")]
    #[doc(alias = "epoll_pwait")]
    #[doc(alias = "poll")]
    #[doc(alias = "ppoll")]
    #[doc(alias = "pselect")]
    #[doc(alias = "kevent")]
    #[doc(alias = "control")]
    #[doc(alias = "EVFILT_TIMER")]
    #[doc(alias = "KQ_FILTER_TIMER")]
    #[doc(alias = "wait")]
    // A program has one call of this, in its loop. Inlined there, most of the
    // work on the timeout and on the result disappears, and rare work stays
    // outside. Also, no `ret` follows the system call. On kernels that guard
    // their returns against speculation, one `ret` costs more than all the
    // remaining work. It costs 40 ns if nothing was ready, and 140 ns
    // otherwise.
    #[inline(always)]
    pub fn select(&mut self, timeout: Option<Duration>) -> Result<SelectResult, Error> {
        let mut left = timeout;
        loop {
            if self.engine.has_backlog() {
                if let Some(result) =
                    self.engine.clear_backlog(&self.table.keys(), self.waker.as_ref())
                {
                    return Ok(result);
                }
            }
            let in_steps = self.engine.waits_in_steps(left);
            let count = match self.engine.wait(if in_steps { Some(STEP) } else { left }) {
                Ok(count) => count,
                Err(Ok(result)) if in_steps && result.timed_out() => 0,
                Err(result) => return result,
            };
            if count > 0 {
                if let Some(wake) = &self.waker {
                    if self.engine.take_wake(wake) {
                        return Ok(SelectResult::wake_and(count - 1));
                    }
                }
                if !self.engine.has_zombie() {
                    return Ok(SelectResult::events_only(count));
                }
                if let Some(result) = self.engine.pause_if_stale(self.table.slots(), left, count) {
                    return result;
                }
            }
            left = left.map(|left| left.saturating_sub(STEP));
        }
    }

    /// Waits as [`select`](Self::select) does, until a point in time.
    ///
    /// The deadline `None` waits indefinitely. If the deadline has passed, this
    /// does not wait. An event, a wake or a signal ends the wait early.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`select`](Self::select).
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(feature = "std")] {
    /// # use selectors_core::{DefaultSelector, Events};
    /// # use std::{io::{Read, Write}, os::unix::net::UnixStream, time::Duration};
    /// # let (ours, mut theirs) = UnixStream::pair()?;
    /// # let mut selector = DefaultSelector::<_, _, 4>::new()?;
    /// use std::time::Instant;
    ///
    /// selector.register(ours, Events::READ, ())?;
    /// let deadline = Instant::now() + Duration::from_millis(5);
    /// assert!(selector.select_until(deadline)?.timed_out());
    /// assert!(Instant::now() >= deadline);
    ///
    /// theirs.write_all(b"!")?;
    /// assert_eq!(selector.select_until(None)?.events(), 1);
    /// # }
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[doc(alias = "timer")]
    #[doc(alias = "deadline")]
    #[doc(alias = "timeout")]
    #[cfg(feature = "std")]
    pub fn select_until(
        &mut self,
        deadline: impl Into<Option<std::time::Instant>>,
    ) -> Result<SelectResult, Error> {
        let Some(deadline) = deadline.into() else { return self.select(None) };
        loop {
            let left = deadline.saturating_duration_since(std::time::Instant::now());
            let result = self.select(Some(left))?;
            // The clock of the wait may be a little ahead of that of the
            // deadline.
            if left.is_zero() || !result.timed_out() {
                return Ok(result);
            }
        }
    }

    /// Returns the next ready key, and the events it is ready for.
    ///
    /// Returns `None` if there is no pending event. You may register, modify
    /// and unregister keys between two calls, because each event is checked
    /// when it is returned:
    ///
    /// - An event of a key that was unregistered or paused is dropped.
    /// - An event of a key that was modified is masked by the new interest.
    ///
    /// This does not make a system call. On kqueue it makes one for a one-shot
    /// in both directions.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(feature = "std")] {
    /// # use selectors_core::{DefaultSelector, Events};
    /// # use std::{io::{Read, Write}, os::unix::net::UnixStream, time::Duration};
    /// # let (ours, mut theirs) = UnixStream::pair()?;
    /// # let mut selector = DefaultSelector::<_, _, 4>::new()?;
    /// selector.register(ours, Events::READ, "data")?;
    /// theirs.write_all(b"!")?;
    /// selector.select(None)?;
    /// while let Some((key, events)) = selector.next_ready() {
    ///     assert_eq!((key.data, events), ("data", Events::READ));
    ///     drop(key.unregister());
    /// }
    /// # }
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[inline]
    #[allow(unsafe_code)]
    pub fn next_ready(&mut self) -> Option<(KeyMut<'_, Self>, Events)> {
        let keys = self.table.keys();
        let (position, events) = self.engine.next_ready(keys.slots)?;
        // SAFETY: `Engine::next_ready` returns a slot that exists and has a
        // key.
        Some((unsafe { KeyMut::new(&mut self.engine, keys, position) }, events))
    }

    /// Returns the number of pending events, as an upper bound.
    ///
    /// The next [`select`](Self::select) does not wait if any of them has a
    /// key.
    ///
    /// **If this selector is registered in another one, that one does not see
    /// pending events.** Call [`next_ready`](Self::next_ready) until it returns
    /// `None` before the outer selector waits.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(feature = "std")] {
    /// # use selectors_core::{DefaultSelector, Events};
    /// # use std::{io::{Read, Write}, os::unix::net::UnixStream, time::Duration};
    /// # let (ours, mut theirs) = UnixStream::pair()?;
    /// # let mut selector = DefaultSelector::<_, _, 4>::new()?;
    /// selector.register(ours, Events::WRITE, ())?;
    /// selector.select(None)?;
    /// assert_eq!(selector.pending(), 1);
    /// assert!(selector.next_ready().is_some());
    /// assert_eq!(selector.pending(), 0);
    /// # }
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[must_use]
    pub fn pending(&self) -> usize {
        self.engine.backend.pending()
    }
}
