/// What a selector has done so far.
///
/// Each number wraps around after 2⁶⁴. They help to find out why a program does too much. Many waits with few events are
/// timeouts, signals or wakes. Rebuilds mean that some code closes descriptors that it does not own.
///
/// # Examples
///
/// ```
/// # use selectors_core::Stats;
/// # let selector = selectors_core::DefaultSelector::<rustix::fd::OwnedFd, (), 4>::new()?;
/// assert_eq!(selector.stats(), Stats::default()); // a new one has done nothing
/// # Ok::<(), selectors_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Waits that the kernel has ended: by events, a wake, a timeout or a signal.
    pub waits: u64,
    /// Waits that a signal has ended.
    pub interrupted: u64,
    /// Waits that found a wake.
    pub wakes: u64,
    /// Events that the waits returned. A wake does not count.
    pub events: u64,
    /// Events dropped because their key had been unregistered, or was not interested any more.
    pub stale: u64,
    /// How often the kernel's set was recreated, to be rid of descriptors closed without the selector's knowledge.
    pub rebuilds: u64,
    /// How often the kernel refused to recreate the set. The selector then uses the old one and tries again later.
    pub failed_rebuilds: u64,
}
