use selectors_std::{DefaultSelector, Error, Events, KeyMut, SelectResult, Waker};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

/// A selector that any thread may change, also while another one waits.
pub struct SharedSelector<S, D> {
    selector: Mutex<DefaultSelector<S, D>>,
    waker: Waker,
    /// How many threads want to change the selector.
    changes: Mutex<usize>,
    no_changes: Condvar,
}

impl<S, D> SharedSelector<S, D> {
    pub fn new() -> Result<Self, Error> {
        let mut selector = DefaultSelector::new()?;
        let waker = selector.waker()?;
        Ok(Self {
            selector: Mutex::new(selector),
            waker,
            changes: Mutex::new(0),
            no_changes: Condvar::new(),
        })
    }

    /// Calls a function with the selector, as soon as no thread waits with it.
    ///
    /// A function that is called by `wait` must use its key instead.
    pub fn change<R>(
        &self,
        work: impl FnOnce(&mut DefaultSelector<S, D>) -> R,
    ) -> Result<R, Error> {
        let _change = Change::begin(self);
        self.waker.wake()?;
        let mut selector = self.selector.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(work(&mut selector))
        // The selector is unlocked before the change ends.
    }

    /// Waits, and calls a function with each ready key. Changes end the wait.
    pub fn wait(
        &self,
        timeout: Option<Duration>,
        mut handle: impl FnMut(KeyMut<'_, DefaultSelector<S, D>>, Events),
    ) -> Result<SelectResult, Error> {
        let changes = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
        drop(self.no_changes.wait_while(changes, |changes| *changes > 0));
        let mut selector = self.selector.lock().unwrap_or_else(PoisonError::into_inner);
        let result = selector.select(timeout)?;
        while let Some((key, events)) = selector.next_ready() {
            handle(key, events);
        }
        Ok(result)
    }
}

/// A change that is counted until its end, even if it panics.
struct Change<'a, S, D>(&'a SharedSelector<S, D>);

impl<'a, S, D> Change<'a, S, D> {
    fn begin(shared: &'a SharedSelector<S, D>) -> Self {
        *shared.changes.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        Self(shared)
    }
}

impl<S, D> Drop for Change<'_, S, D> {
    fn drop(&mut self) {
        let mut changes = self.0.changes.lock().unwrap_or_else(PoisonError::into_inner);
        *changes -= 1;
        if *changes == 0 {
            self.0.no_changes.notify_all();
        }
    }
}
