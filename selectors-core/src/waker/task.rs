//! The conversion of a waker into `std::task::Waker`.

use core::ops::Deref;
use std::sync::Arc;
use std::task::Wake;

use super::{WakeCell, Waker};

struct Task<W>(Waker<W>);

impl<W: Deref<Target = WakeCell> + Send + Sync> Wake for Task<W> {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // Without a selector there is no wait to end.
        let _ = self.0.wake();
    }
}

/// Converts a waker into one that wakes the selector for a future.
///
/// This allocates once. A wake after the selector was dropped does nothing.
///
/// # Examples
///
/// ```
/// # use selectors_core::{DefaultSelector, Error, WakeCell};
/// use std::pin::pin;
/// use std::task::{Context, Poll, Waker};
///
/// fn block_on<F: Future>(future: F) -> Result<F::Output, Error> {
///     // In selectors-core. In selectors-std it is `selector.waker()?.into()`.
/// #   static WAKE: WakeCell = WakeCell::new();
/// #   let mut selector = DefaultSelector::<rustix::fd::OwnedFd, (), 1>::new()?;
///     let waker: Waker = selector.waker_in(&WAKE)?.into();
///     let mut context = Context::from_waker(&waker);
///     let mut future = pin!(future);
///     loop {
///         match future.as_mut().poll(&mut context) {
///             Poll::Ready(output) => return Ok(output),
///             Poll::Pending => selector.select(None)?, // and handle ready keys
///         };
///     }
/// }
///
/// # // A future that another thread completes.
/// # let mut started = false;
/// # let done = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
/// # let future = std::future::poll_fn(move |context| {
/// #     use std::sync::atomic::Ordering;
/// #     if done.load(Ordering::Acquire) {
/// #         return Poll::Ready(42);
/// #     }
/// #     if !std::mem::replace(&mut started, true) {
/// #         let (done, waker) = (done.clone(), context.waker().clone());
/// #         std::thread::spawn(move || {
/// #             done.store(true, Ordering::Release);
/// #             waker.wake();
/// #         });
/// #     }
/// #     Poll::Pending
/// # });
/// assert_eq!(block_on(future)?, 42);
/// # Ok::<(), Error>(())
/// ```
impl<W: Deref<Target = WakeCell> + Send + Sync + 'static> From<Waker<W>> for std::task::Waker {
    fn from(waker: Waker<W>) -> Self {
        Arc::new(Task(waker)).into()
    }
}
