use rustix::fd::{AsFd, AsRawFd};

use super::Selector;
use crate::backend::Backend;
use crate::error::{Error, RegisterError};
use crate::events::Interest;
use crate::key::{Lookup, SelectorKey};
use crate::storage::Storage;
#[cfg(doc)]
use crate::{Events, KeyMut};

/// Registering sources.
impl<B: Backend, S, D, M: Storage> Selector<B, S, D, M> {
    /// Registers a source to be watched for events.
    ///
    /// `events` is [`Events::READ`], [`Events::WRITE`], [`Events::PRIORITY`] or
    /// [`Events::READ_HANGUP`], or several of them. They are level-triggered,
    /// unless [`edge`](Events::edge) or [`one_shot`](Events::one_shot) is
    /// called on them. A source is anything with a descriptor: owned, borrowed,
    /// shared (`&T`, `Rc`, `Arc`) or boxed. A descriptor can be registered only
    /// once.
    ///
    /// This makes one system call: `epoll_ctl` on epoll, `kevent` on kqueue,
    /// and a `poll` that does not wait on poll and select.
    ///
    /// **If this fails, the source and the data are dropped.**
    /// [`try_register`](Self::try_register) returns them.
    ///
    /// # Errors
    ///
    /// - Returns [`Error::InvalidEvents`] if `events` is empty or has an
    ///   output-only flag.
    /// - Returns [`Error::Unsupported`] if the backend does not support these
    ///   events, or not in this mode.
    /// - Returns [`Error::InvalidFd`] if the file descriptor is negative.
    /// - Returns [`Error::AlreadyRegistered`] if the file descriptor is
    ///   registered, perhaps through another object.
    /// - Returns [`Error::Full`] if a fixed table is full, or a growing one
    ///   finds no memory.
    /// - Returns [`Error::FdOutOfRange`] if the file descriptor is too large
    ///   for `select`.
    /// - Returns [`Error::Os`] with `EPERM` for a regular file, a directory and
    ///   some devices on epoll, or if a sandbox forbids the call.
    /// - Returns [`Error::Os`] with `EBADF` if the descriptor can't be polled,
    ///   as one opened with `O_PATH`.
    /// - Returns [`Error::Os`] with `ENOSPC` or `ENOMEM` if a limit of the
    ///   kernel is reached, and with `ELOOP` or `EINVAL` for selectors in a
    ///   circle.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(feature = "std")] {
    /// # use selectors_core::{DefaultSelector, Events};
    /// # use std::{io::{Read, Write}, os::unix::net::UnixStream, time::Duration};
    /// # let (ours, mut theirs) = UnixStream::pair()?;
    /// # let mut selector = DefaultSelector::<_, _, 4>::new()?;
    /// let id = selector.register(ours, Events::READ, "data")?.id();
    /// assert!(selector.get_key(id).is_some());
    /// # }
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[doc(alias = "epoll_ctl")]
    #[doc(alias = "EPOLL_CTL_ADD")]
    #[doc(alias = "EV_ADD")]
    #[doc(alias = "KQ_EV_ADD")]
    #[doc(alias = "kevent")]
    #[inline]
    pub fn register(
        &mut self,
        fileobj: S,
        events: impl Into<Interest>,
        data: D,
    ) -> Result<&SelectorKey<S, D>, Error>
    where
        S: AsFd,
    {
        let fd = fileobj.as_fd().as_raw_fd();
        // The key that was not registered is dropped last, as its `Drop` may
        // panic.
        self.insert(SelectorKey::new(fileobj, fd, events.into(), data))
            .map_err(|(error, _key)| error)
    }

    /// Registers a source, or returns it inside the error.
    ///
    /// This does what [`register`](Self::register) does, except that a failure
    /// does not drop the source and the data.
    ///
    /// # Errors
    ///
    /// Returns a [`RegisterError`] with one of the errors of `register`.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(feature = "std")] {
    /// # use selectors_core::{DefaultSelector, Error, Events};
    /// let (one, two) = std::os::unix::net::UnixStream::pair()?;
    /// // Of selectors-core, with a capacity of one:
    /// let mut selector = DefaultSelector::<_, _, 1>::new()?;
    /// selector.register(one, Events::READ, "first")?;
    /// let refused = selector.try_register(two, Events::READ, "second").unwrap_err();
    /// assert_eq!(refused.error, Error::Full { capacity: 1 });
    /// let (_two, data) = (refused.fileobj, refused.data); // nothing is lost
    /// assert_eq!(data, "second");
    /// # }
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn try_register(
        &mut self,
        fileobj: S,
        events: impl Into<Interest>,
        data: D,
    ) -> Result<&SelectorKey<S, D>, RegisterError<S, D>>
    where
        S: AsFd,
    {
        let fd = fileobj.as_fd().as_raw_fd();
        self.insert(SelectorKey::new(fileobj, fd, events.into(), data))
            .map_err(|(error, key)| RegisterError { error, fileobj: key.fileobj, data: key.data })
    }

    /// Registers a file descriptor that the source does not own.
    ///
    /// This does what [`register`](Self::register) does, for sources that
    /// implement only `AsRawFd`, such as `RawFd`.
    ///
    /// # Errors
    ///
    /// Returns the errors of `register`. Also returns [`Error::Os`] with
    /// `EBADF` if the descriptor is closed, on every backend.
    ///
    /// # Safety
    ///
    /// The caller must ensure that the descriptor stays open until the key is
    /// unregistered or the selector is dropped. Until then its number must
    /// belong to the same file.
    ///
    /// If the descriptor is closed before, the selector may watch the next file
    /// that gets its number, which other code owns. See "Closed descriptors" at
    /// [`select`](Self::select).
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(feature = "std")] {
    /// # use selectors_core::{DefaultSelector, Events};
    /// # use std::{io::{Read, Write}, os::unix::net::UnixStream, time::Duration};
    /// # let (ours, mut theirs) = UnixStream::pair()?;
    /// use std::os::fd::{AsRawFd, RawFd};
    ///
    /// let mut selector = DefaultSelector::<RawFd, (), 4>::new()?;
    /// // SAFETY: `ours` is closed after it was unregistered.
    /// unsafe { selector.register_raw(ours.as_raw_fd(), Events::READ, ())? };
    /// theirs.write_all(b"!")?;
    /// assert_eq!(selector.select(None)?.events(), 1);
    /// let _number = selector.unregister(&ours)?.fileobj;
    /// # }
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[doc(alias = "fileno")]
    #[allow(unsafe_code)]
    pub unsafe fn register_raw(
        &mut self,
        fileobj: S,
        events: impl Into<Interest>,
        data: D,
    ) -> Result<&SelectorKey<S, D>, Error>
    where
        S: AsRawFd,
    {
        let fd = fileobj.as_raw_fd();
        self.insert(SelectorKey::new(fileobj, fd, events.into(), data))
            .map_err(|(error, _key)| error)
    }

    #[inline]
    #[allow(clippy::type_complexity, reason = "the key that was not registered")]
    fn insert(
        &mut self,
        key: SelectorKey<S, D>,
    ) -> Result<&SelectorKey<S, D>, (Error, SelectorKey<S, D>)> {
        let wakers = self
            .waker
            .as_ref()
            .and_then(|wake| wake.cell.hold().watched())
            .map(|fd| fd.as_raw_fd());
        self.table.grow();
        self.engine.register(self.table.keys(), key, wakers)
    }

    /// Changes the interest of a key.
    ///
    /// This also arms a one-shot again and resumes a paused key. Pending events
    /// are masked by the new interest. The data does not change;
    /// [`get_key_mut`](Self::get_key_mut) gives access to it.
    ///
    /// This makes one system call, or none if the interest is the same. Two
    /// kinds of keys are armed again by a call with the same interest:
    ///
    /// - In edge mode, what is still ready is reported again.
    /// - A one-shot that was delivered is armed again. **Every `modify` does
    ///   that**, and nothing else does.
    ///
    /// # Errors
    ///
    /// - Returns [`Error::InvalidEvents`] or [`Error::Unsupported`] as
    ///   [`register`](Self::register) does.
    /// - Returns [`Error::NotRegistered`] if there is no such key.
    /// - Returns [`Error::Os`] with `EBADF` or `ENOENT` if the descriptor was
    ///   closed without the selector's knowledge. On epoll and kqueue, a call
    ///   with the same interest can't notice that.
    /// - Returns [`Error::Os`] with another number if the kernel refuses.
    /// - Returns the errors of [`resume`](Self::resume) if the key is paused.
    ///   It stays paused then.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(feature = "std")] {
    /// # use selectors_core::{DefaultSelector, Events};
    /// # use std::{io::{Read, Write}, os::unix::net::UnixStream, time::Duration};
    /// # let (ours, mut theirs) = UnixStream::pair()?;
    /// # let mut selector = DefaultSelector::<_, _, 4>::new()?;
    /// let id = selector.register(ours, Events::READ, b"to be sent".to_vec())?.id();
    /// selector.modify(id, Events::READ | Events::WRITE)?;
    /// selector.select(None)?;
    /// while let Some((mut key, events)) = selector.next_ready() {
    ///     if events.is_writable() {
    ///         let (mut stream, unsent) = key.parts();
    ///         let sent = stream.write(unsent)?;
    ///         unsent.drain(..sent);
    ///         if unsent.is_empty() {
    ///             key.modify(Events::READ)?; // or every wait would return immediately
    ///         }
    ///     }
    /// }
    /// # }
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[doc(alias = "EPOLL_CTL_MOD")]
    #[doc(alias = "reregister")]
    #[doc(alias = "EV_ENABLE")]
    #[doc(alias = "KQ_EV_ENABLE")]
    #[doc(alias = "EV_DISABLE")]
    #[doc(alias = "KQ_EV_DISABLE")]
    // Inlined for the same reason as `select`.
    #[inline(always)]
    pub fn modify(
        &mut self,
        key: impl Into<Lookup>,
        events: impl Into<Interest>,
    ) -> Result<(), Error> {
        let (interest, key) = (events.into(), key.into());
        if M::INLINE {
            self.engine.modify_key(self.table.keys(), key, interest)
        } else {
            self.engine.modify_key_shared(self.table.keys(), key, interest)
        }
    }

    /// Stops watching a key until it is resumed or modified.
    ///
    /// The key stays registered, and look-ups find it. Pending events of the
    /// key are dropped. Pausing a paused key does nothing.
    ///
    /// **Nothing is reported for a paused key**, not even hang-ups or errors.
    /// So only the handler of another key, or of a timer, can resume it. To
    /// stop only reading, [`modify`](Self::modify) it to [`Events::WRITE`].
    ///
    /// This makes one system call on epoll and kqueue, and none on poll and
    /// select.
    ///
    /// # Errors
    ///
    /// Returns [`Error::NotRegistered`] if there is no such key.
    /// [`KeyMut::pause`] can't fail.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(feature = "std")] {
    /// # use selectors_core::{DefaultSelector, Events};
    /// # use std::{io::{Read, Write}, os::unix::net::UnixStream, time::Duration};
    /// # let (ours, mut theirs) = UnixStream::pair()?;
    /// # let mut selector = DefaultSelector::<_, _, 4>::new()?;
    /// theirs.write_all(b"!")?;
    /// let id = selector.register(ours, Events::READ, ())?.id();
    /// selector.pause(id)?;
    /// assert!(selector.select(Some(Duration::ZERO))?.timed_out());
    /// selector.resume(id)?;
    /// assert_eq!(selector.select(None)?.events(), 1);
    /// # }
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn pause(&mut self, key: impl Into<Lookup>) -> Result<(), Error> {
        self.engine.pause_key(self.table.keys(), key.into())
    }

    /// Watches a paused key again, with the interest that it had.
    ///
    /// Resuming a key that is not paused does nothing. In edge mode, what is
    /// ready is reported again. This makes one system call, as
    /// [`register`](Self::register) does.
    ///
    /// **A one-shot that was delivered before the pause stays disarmed.**
    /// [`modify`](Self::modify) arms it again.
    ///
    /// # Errors
    ///
    /// The key stays paused.
    ///
    /// - Returns [`Error::NotRegistered`] if there is no such key.
    /// - Returns [`Error::Os`] if the kernel refuses the descriptor.
    /// - Returns [`Error::FdOutOfRange`] if `select` can't watch it.
    ///
    /// These are only returned if the source was
    /// [exchanged](KeyMut::with_source):
    ///
    /// - Returns [`Error::AlreadyRegistered`] if the new descriptor is another
    ///   key's.
    /// - Returns [`Error::InvalidFd`] if the new descriptor is negative.
    /// - Returns [`Error::Full`] if there is no memory.
    ///
    /// # Examples
    ///
    /// See [`pause`](Self::pause).
    pub fn resume(&mut self, key: impl Into<Lookup>) -> Result<(), Error> {
        self.engine.resume_key(self.table.keys(), key.into())
    }

    /// Stops watching a source, and returns it with its data.
    ///
    /// Pending events of the key are dropped. This also works if the descriptor
    /// was closed without the selector's knowledge.
    ///
    /// This makes one system call on epoll and kqueue, and none on poll and
    /// select.
    ///
    /// # Errors
    ///
    /// Returns [`Error::NotRegistered`] if there is no such key.
    /// [`KeyMut::unregister`] can't fail.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(feature = "std")] {
    /// # use selectors_core::{DefaultSelector, Events};
    /// # use std::{io::{Read, Write}, os::unix::net::UnixStream, time::Duration};
    /// # let (ours, mut theirs) = UnixStream::pair()?;
    /// # let mut selector = DefaultSelector::<_, _, 4>::new()?;
    /// let id = selector.register(ours, Events::READ, "data")?.id();
    /// let key = selector.unregister(id)?;
    /// // For use elsewhere. A dropped key closes the stream.
    /// let (_stream, data) = (key.fileobj, key.data);
    /// assert_eq!(data, "data");
    /// assert!(selector.unregister(id).is_err());
    /// # }
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[doc(alias = "EPOLL_CTL_DEL")]
    #[doc(alias = "EV_DELETE")]
    #[doc(alias = "KQ_EV_DELETE")]
    #[doc(alias = "deregister")]
    #[doc(alias = "delete")]
    #[inline]
    pub fn unregister(&mut self, key: impl Into<Lookup>) -> Result<SelectorKey<S, D>, Error> {
        self.engine.unregister_key(self.table.keys(), key.into())
    }
}
