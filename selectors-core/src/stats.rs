/// Counts of what a selector has done so far.
///
/// Each number wraps around at 2⁶⁴. The numbers help to find out why a program
/// uses more CPU than expected. Many waits with few events are timeouts,
/// signals or wakes. Rebuilds mean that some code closes descriptors that it
/// does not own.
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
    /// Waits that the kernel has ended.
    ///
    /// Events, a wake, a timeout or a signal ends a wait.
    pub waits: u64,
    /// Waits that a signal has ended.
    pub interrupted: u64,
    /// Waits that a wake has ended.
    pub wakes: u64,
    /// Events that the waits returned.
    ///
    /// A wake does not count.
    pub events: u64,
    /// Events that were dropped.
    ///
    /// Their key had been unregistered, paused or modified.
    pub stale: u64,
    /// How often the kernel's set was recreated.
    ///
    /// That removes descriptors which were closed without the selector's
    /// knowledge.
    pub rebuilds: u64,
    /// How often the kernel refused to recreate the set.
    ///
    /// The selector then uses the old set, and tries again later.
    pub failed_rebuilds: u64,
}
