//! How a subject is timed.

use std::time::{Duration, Instant};

/// How long and how often: the same for the whole run.
#[derive(Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) rounds: usize,
    /// For each subject in each round.
    pub(crate) slice: Duration,
}

/// What is timed at once. It is far shorter than the scheduler's turns, so that
/// few samples contain one.
const PIECE: Duration = Duration::from_micros(50);

impl Plan {
    /// Nanoseconds for one of what `work` counts. It is called until the time
    /// is up.
    pub(crate) fn time(self, mut work: impl FnMut() -> usize) -> f64 {
        // Tables grow and caches fill here, as in a program that has been
        // running for a while.
        let (begin, mut calls) = (Instant::now(), 0);
        while calls < 1 || begin.elapsed() < PIECE {
            repeat(1, &mut work);
            calls += 1;
        }
        let begin = Instant::now();
        let mut pieces = Vec::new();
        while pieces.is_empty() || begin.elapsed() < self.slice {
            let started = Instant::now();
            let done = repeat(calls, &mut work);
            pieces.push(nanoseconds(started.elapsed()) / count(done));
        }
        middle(&mut pieces)
    }

    /// As `time`, for one call at a time, and without the time that `prepare`
    /// takes before each.
    pub(crate) fn time_between(
        self,
        mut prepare: impl FnMut(),
        mut work: impl FnMut() -> usize,
    ) -> f64 {
        let (begin, mut pieces, mut clock) = (Instant::now(), Vec::new(), Vec::new());
        while pieces.is_empty() || begin.elapsed() < self.slice * 2 {
            prepare();
            let started = Instant::now();
            let done = repeat(1, &mut work);
            pieces.push(nanoseconds(started.elapsed()) / count(done));
            // The time of the clock itself would bring all ratios closer to
            // one.
            clock.push(nanoseconds(Instant::now().elapsed()) / count(done));
        }
        middle(&mut pieces) - middle(&mut clock)
    }
}

/// The one place that calls `work`. For each subject, `work` is inlined into
/// this loop, as the loop of a program is one function. The inlining matters:
/// if the kernel guards its returns against speculation, a system call with a
/// `ret` behind it costs tens to hundreds of cycles more than one without.
#[inline(never)]
fn repeat(calls: usize, work: &mut impl FnMut() -> usize) -> usize {
    (0..calls).map(|_| work()).sum()
}

fn nanoseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e9
}

#[allow(clippy::cast_precision_loss, reason = "far below 2⁵²")]
pub(crate) fn count(done: usize) -> f64 {
    done.max(1) as f64
}

/// The mean of the middle half: as robust as the median, and finer than the
/// steps of the clock.
fn middle(samples: &mut [f64]) -> f64 {
    samples.sort_by(f64::total_cmp);
    let quarter = samples.len() / 4;
    let half = &samples[quarter..samples.len() - quarter];
    half.iter().sum::<f64>() / count(half.len())
}

/// The handler of the waits: as little work as there can be, so that it hides
/// no difference.
#[inline(always)]
pub(crate) fn handle(data: &mut u64) {
    *data += 1;
}
