//! How many descriptors fit under the limit of open files.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// How many of something the benchmark wants open at a time.
pub(crate) struct Wanted {
    what: &'static str,
    count: usize,
    /// Descriptors in one process for each.
    each: usize,
}

pub(crate) const KEYS: Wanted = Wanted { what: "registered eventfds", count: 10_000, each: 1 };
pub(crate) const PAIRS: Wanted = Wanted { what: "pairs of the chain", count: 5000, each: 2 };
pub(crate) const CONNECTIONS: Wanted = Wanted { what: "connections", count: 5000, each: 1 };

/// For the standard streams, the selectors, and what else is open.
const RESERVE: usize = 64;

impl Wanted {
    /// As many as are wanted, or as fit under the limit.
    pub(crate) fn fitting(&self) -> usize {
        let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        self.count.min(limit.saturating_sub(RESERVE) / self.each)
    }
}

/// Raises the limit of this process as far as it may. Its children inherit it.
pub(crate) fn raise() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    // Without this, less fits.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
}

/// What is lower than it should be, as text.
pub(crate) fn lowered() -> String {
    let all = [KEYS, PAIRS, CONNECTIONS];
    let lower = all.iter().filter(|wanted| wanted.fitting() < wanted.count);
    let texts: Vec<_> = lower
        .map(|wanted| format!("{} {} instead of {}", wanted.fitting(), wanted.what, wanted.count))
        .collect();
    if texts.is_empty() { "nothing".to_owned() } else { texts.join(", ") }
}
