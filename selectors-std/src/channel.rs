use std::collections::VecDeque;
use std::fmt;
use std::sync::mpsc::{SendError, TryRecvError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use selectors_core::backend::Backend;
use selectors_core::storage::Storage;
use selectors_core::{Error, Selector, WakeCell};

use crate::Waker;

/// Creates a channel whose sender wakes the selector.
///
/// The [`Sender`] goes to other threads, and can be cloned. The [`Inbox`] stays
/// in the thread that calls [`select`](Selector::select). Everything that is
/// `Send` can be sent, also sources that the selector is to watch.
///
/// Each item that is sent wakes the selector, and so does dropping the last
/// sender. The wait then returns a result that is
/// [`woken`](selectors_core::SelectResult::woken). A selector may have several
/// channels and [wakers](Selector::waker), which share one descriptor. `woken`
/// does not say which of them it was, so look into each inbox.
///
/// **Receive all items before the next `select`.** An item that is left in the
/// inbox does not end a later wait.
///
/// **Make a stream non-blocking before you send it.** Otherwise the selector's
/// thread would wait for a peer.
///
/// The channel has no limit. It keeps its memory, so it allocates nothing more
/// once it has grown to the largest number of items that it has at a time. To
/// limit it, count the items in an atomic number, or let the receiver send back
/// a message for each item that it has handled.
///
/// # Errors
///
/// Returns the errors of [`Selector::waker`].
///
/// # Examples
///
/// A thread accepts connections, and the selector of another thread watches
/// them:
///
/// ```
/// use selectors_std::{DefaultSelector, Events, channel};
/// use std::net::{TcpListener, TcpStream};
/// use std::{io, thread};
///
/// let listener = TcpListener::bind("localhost:0")?;
/// # let _client = TcpStream::connect(listener.local_addr()?)?;
/// let mut selector = DefaultSelector::new()?;
/// let (sender, mut inbox) = channel(&mut selector)?;
///
/// let acceptor = thread::spawn(move || -> io::Result<()> {
///     let (stream, _address) = listener.accept()?;
///     stream.set_nonblocking(true)?;
///     if let Err(unsent) = sender.send(stream) {
///         drop(unsent.0); // the other thread has ended: close the connection
///     }
///     Ok(()) // the sender is dropped here, which closes the channel
/// });
///
/// while !inbox.is_closed() {
///     selector.select(None)?;
///     for stream in inbox.try_iter() {
///         // If this fails, the stream is dropped, which closes it.
///         let _ = selector.register(stream, Events::READ, ());
///     }
///     while let Some((_key, _events)) = selector.next_ready() {
///         // Read and write.
///     }
/// }
/// assert_eq!(selector.get_map().len(), 1);
/// # acceptor.join().unwrap()?;
/// # Ok::<(), io::Error>(())
/// ```
#[doc(alias = "mpsc")]
#[doc(alias = "call_soon_threadsafe")]
pub fn channel<T, B, S, D, M>(
    selector: &mut Selector<B, S, D, M>,
) -> Result<(Sender<T>, Inbox<T>), Error>
where
    B: Backend,
    M: Storage<Wake = Arc<WakeCell>>,
{
    let waker = selector.waker()?;
    let state = State { queue: VecDeque::new(), senders: 1, has_inbox: true };
    let shared = Arc::new(Shared { waker, state: Mutex::new(state) });
    Ok((Sender { shared: shared.clone() }, Inbox { shared, received: VecDeque::new() }))
}

/// The sending half of a [`channel`](channel()).
///
/// It can be cloned, shared and sent to any thread.
///
/// # Examples
///
/// ```
/// use selectors_std::{DefaultSelector, channel};
/// use std::{net::TcpStream, thread};
///
/// let mut selector = DefaultSelector::<TcpStream>::new()?;
/// let (sender, mut inbox) = channel(&mut selector)?;
/// for worker in 0..3 {
///     let sender = sender.clone();
///     thread::spawn(move || sender.send(worker * worker));
/// }
/// drop(sender); // the clones keep the channel open
///
/// let mut sum = 0;
/// while !inbox.is_closed() {
///     selector.select(None)?;
///     sum += inbox.try_iter().sum::<i32>();
/// }
/// assert_eq!(sum, 0 + 1 + 4);
/// # Ok::<(), selectors_std::Error>(())
/// ```
#[must_use = "the channel is closed when its last sender is dropped"]
pub struct Sender<T> {
    shared: Arc<Shared<T>>,
}

/// The receiving half of a [`channel`](channel()).
///
/// Dropping it drops the items that it still has.
///
/// # Examples
///
/// See [`channel`](channel()).
#[must_use = "the channel is closed when its inbox is dropped"]
pub struct Inbox<T> {
    shared: Arc<Shared<T>>,
    /// The items that were moved out of the shared queue.
    received: VecDeque<T>,
}

struct Shared<T> {
    waker: Waker,
    state: Mutex<State<T>>,
}

struct State<T> {
    queue: VecDeque<T>,
    senders: usize,
    has_inbox: bool,
}

impl<T> Shared<T> {
    /// Locks the state.
    ///
    /// No code of the program runs while the lock is held, so it is never
    /// poisoned.
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Sender<T> {
    /// Sends an item to the inbox, and wakes the selector.
    ///
    /// This never waits for the other thread. Items that are sent before the
    /// next wait of the selector cost one system call together, a `write`.
    ///
    /// # Errors
    ///
    /// Returns a [`SendError`] with the item if the inbox or the selector was
    /// dropped.
    ///
    /// # Examples
    ///
    /// ```
    /// use selectors_std::{DefaultSelector, channel};
    ///
    /// let mut selector = DefaultSelector::<std::net::TcpStream>::new()?;
    /// let (sender, mut inbox) = channel(&mut selector)?;
    /// assert!(sender.send("hello").is_ok());
    /// assert!(selector.select(None)?.woken());
    /// assert_eq!(inbox.try_recv(), Ok("hello"));
    ///
    /// selector.close();
    /// assert_eq!(sender.send("is anyone there?").unwrap_err().0, "is anyone there?");
    /// # Ok::<(), selectors_std::Error>(())
    /// ```
    #[doc(alias = "push")]
    pub fn send(&self, item: T) -> Result<(), SendError<T>> {
        let mut state = self.shared.lock();
        // The wake comes first, as it may fail. The selector's thread waits for
        // the lock until the item is there.
        if !state.has_inbox || self.shared.waker.wake().is_err() {
            return Err(SendError(item));
        }
        state.queue.push_back(item);
        Ok(())
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        self.shared.lock().senders += 1;
        Self { shared: self.shared.clone() }
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.senders -= 1;
        if state.senders == 0 && state.has_inbox {
            // Without a selector there is no wait to end. The inbox is closed
            // anyway.
            let _ = self.shared.waker.wake();
        }
    }
}

impl<T> Inbox<T> {
    /// Returns the next item, without waiting.
    ///
    /// # Errors
    ///
    /// - Returns [`TryRecvError::Empty`] if there is no item now.
    /// - Returns [`TryRecvError::Disconnected`] if there is no item, and all
    ///   senders were dropped.
    ///
    /// # Examples
    ///
    /// ```
    /// use selectors_std::{DefaultSelector, TryRecvError, channel};
    ///
    /// let mut selector = DefaultSelector::<std::net::TcpStream>::new()?;
    /// let (sender, mut inbox) = channel(&mut selector)?;
    /// assert_eq!(inbox.try_recv(), Err(TryRecvError::Empty));
    /// sender.send("hello").unwrap();
    /// drop(sender);
    /// assert_eq!(inbox.try_recv(), Ok("hello"));
    /// assert_eq!(inbox.try_recv(), Err(TryRecvError::Disconnected));
    /// # Ok::<(), selectors_std::Error>(())
    /// ```
    pub fn try_recv(&mut self) -> Result<T, TryRecvError> {
        if let Some(item) = self.received.pop_front() {
            return Ok(item);
        }
        let mut state = self.shared.lock();
        std::mem::swap(&mut self.received, &mut state.queue);
        match self.received.pop_front() {
            Some(item) => Ok(item),
            None if state.senders == 0 => Err(TryRecvError::Disconnected),
            None => Err(TryRecvError::Empty),
        }
    }

    /// Returns an iterator over the items that are in the inbox now.
    ///
    /// Items that are sent after this call wake the selector again. So a loop
    /// over this ends, even if senders are busy.
    ///
    /// # Examples
    ///
    /// ```
    /// use selectors_std::{DefaultSelector, channel};
    ///
    /// let mut selector = DefaultSelector::<std::net::TcpStream>::new()?;
    /// let (sender, mut inbox) = channel(&mut selector)?;
    /// sender.send(1).unwrap();
    /// sender.send(2).unwrap();
    /// selector.select(None)?;
    /// assert!(inbox.try_iter().eq([1, 2]));
    /// # Ok::<(), selectors_std::Error>(())
    /// ```
    pub fn try_iter(&mut self) -> impl Iterator<Item = T> {
        {
            let mut state = self.shared.lock();
            if self.received.is_empty() {
                std::mem::swap(&mut self.received, &mut state.queue);
            } else {
                // The items that an earlier iterator has left come first.
                self.received.append(&mut state.queue);
            }
        }
        std::iter::from_fn(|| self.received.pop_front())
    }

    /// Returns whether all senders were dropped and all items received.
    ///
    /// # Examples
    ///
    /// See [`channel`](channel()).
    #[must_use]
    pub fn is_closed(&self) -> bool {
        let state = self.shared.lock();
        state.senders == 0 && state.queue.is_empty() && self.received.is_empty()
    }
}

impl<T> Drop for Inbox<T> {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.has_inbox = false;
        let unread = std::mem::take(&mut state.queue);
        drop(state);
        // Without the lock, as an item may own a sender.
        drop(unread);
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender")
            .field("is_closed", &!self.shared.lock().has_inbox)
            .finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for Inbox<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (items, senders) = {
            let state = self.shared.lock();
            (state.queue.len() + self.received.len(), state.senders)
        };
        f.debug_struct("Inbox").field("items", &items).field("senders", &senders).finish()
    }
}
