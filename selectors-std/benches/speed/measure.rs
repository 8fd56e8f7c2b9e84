//! Interleaved rounds, and what is made of them.

use std::time::{Duration, Instant};

use crate::pool::Pool;
use crate::subjects::{Bare, Fixed, Growable, Mio, Polling, Subject};

/// How long and how often: what the whole run has in common.
#[derive(Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) rounds: usize,
    /// For each subject in each round.
    pub(crate) slice: Duration,
}

impl Plan {
    /// Nanoseconds for one of what `work` counts. It is called until the time is up.
    pub(crate) fn time(self, mut work: impl FnMut() -> usize) -> f64 {
        // What has to grow grows here, and caches are filled, as in a program that has been running for a while.
        let (begin, mut calls) = (Instant::now(), 0);
        while calls < 1 || begin.elapsed() < PIECE {
            repeat(1, &mut work);
            calls += 1;
        }
        let begin = Instant::now();
        let mut pieces = Vec::new();
        while begin.elapsed() < self.slice {
            let started = Instant::now();
            let done = repeat(calls, &mut work);
            pieces.push(nanoseconds(started.elapsed()) / count(done));
        }
        median(&mut pieces)
    }

    /// As `time`, for one call at a time, and without what `prepare` takes before each.
    pub(crate) fn time_between(self, mut prepare: impl FnMut(), mut work: impl FnMut() -> usize) -> f64 {
        let (begin, mut pieces, mut clock) = (Instant::now(), Vec::new(), Vec::new());
        while begin.elapsed() < self.slice * 2 {
            prepare();
            let started = Instant::now();
            let done = repeat(1, &mut work);
            pieces.push(nanoseconds(started.elapsed()) / count(done));
            // The clock's own time, which would bring all ratios closer to one.
            clock.push(nanoseconds(Instant::now().elapsed()) / count(done));
        }
        median(&mut pieces) - median(&mut clock)
    }
}

/// What is timed at once: far shorter than the scheduler's turns, so that the median knows nothing of them.
const PIECE: Duration = Duration::from_micros(50);

/// The one place that calls `work`, so that for each subject it is inlined into this loop, as the loop of a program
/// is one function. It matters: where the kernel guards its returns against speculation, a system call with a `ret` behind
/// it costs tens to hundreds of cycles more than one without.
#[inline(never)]
fn repeat(calls: usize, work: &mut impl FnMut() -> usize) -> usize {
    (0..calls).map(|_| work()).sum()
}

fn nanoseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e9
}

#[allow(clippy::cast_precision_loss, reason = "far below 2⁵²")]
fn count(done: usize) -> f64 {
    done.max(1) as f64
}

fn median(samples: &mut [f64]) -> f64 {
    samples.sort_by(f64::total_cmp);
    quantile(samples, 0.5)
}

/// One subject at one work: measures it once.
pub(crate) struct Contender<'a> {
    pub(crate) name: &'static str,
    pub(crate) round: Box<dyn FnMut() -> f64 + 'a>,
}

impl<'a> Contender<'a> {
    pub(crate) fn new(name: &'static str, round: impl FnMut() -> f64 + 'a) -> Self {
        Self { name, round: Box::new(round) }
    }
}

/// Work that is the same for all who are built on epoll.
pub(crate) trait Work: Copy {
    /// Sets up, measures, and takes all down again, so that no subject meets the registrations of another.
    fn round<'a, S: Subject<'a>>(self, plan: Plan, pool: &'a Pool) -> f64;
}

/// Everyone on epoll; mio where its edge-triggered mode can do the work.
pub(crate) fn everyone<'a, W: Work + 'a>(
    plan: Plan,
    pool: &'a Pool,
    mio: bool,
    work: W,
) -> Vec<Contender<'a>> {
    let mut all = vec![
        Contender::new(BARE, move || work.round::<Bare<'a>>(plan, pool)),
        Contender::new(GROWABLE, move || work.round::<Growable<'a>>(plan, pool)),
        Contender::new(FIXED, move || work.round::<Fixed<'a, 10_240>>(plan, pool)),
        Contender::new(POLLING, move || work.round::<Polling<'a>>(plan, pool)),
    ];
    if mio {
        all.push(Contender::new(MIO, move || work.round::<Mio<'a>>(plan, pool)));
    }
    all
}

pub(crate) const BARE: &str = "bare";
pub(crate) const GROWABLE: &str = "growable";
pub(crate) const FIXED: &str = "fixed";
pub(crate) const MIO: &str = "mio";
pub(crate) const POLLING: &str = "polling";
/// The columns of the table.
pub(crate) const ALL: [&str; 5] = [BARE, GROWABLE, FIXED, MIO, POLLING];

/// One work, and what each subject took for it.
pub(crate) struct Row {
    pub(crate) work: String,
    pub(crate) unit: &'static str,
    /// By subject, by round.
    samples: Vec<(&'static str, Vec<f64>)>,
}

/// A ratio to another subject in the same rounds: the median, and where the middle half of the rounds lies.
#[derive(Clone, Copy)]
pub(crate) struct Ratio {
    pub(crate) median: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
}

impl Row {
    pub(crate) fn measure(work: String, unit: &'static str, plan: Plan, all: Vec<Contender<'_>>) -> Self {
        let mut contenders = all;
        let mut samples: Vec<_> = contenders.iter().map(|one| (one.name, Vec::new())).collect();
        let many = contenders.len();
        for round in 0..plan.rounds {
            // Everyone comes first, and behind everyone else, equally often.
            for turn in 0..many {
                let turn = if round % 2 == 0 { turn } else { many - 1 - turn };
                let who = (turn + round / 2) % many;
                samples[who].1.push((contenders[who].round)());
            }
        }
        Self { work, unit, samples }
    }

    /// A row of figures that do not vary.
    pub(crate) fn exact(work: &str, unit: &'static str, figures: &[(&'static str, f64)]) -> Self {
        let samples = figures.iter().map(|&(name, figure)| (name, vec![figure])).collect();
        Self { work: work.to_owned(), unit, samples }
    }

    /// Whether it is in nanoseconds, not exact.
    pub(crate) fn is_timed(&self) -> bool {
        self.samples.iter().all(|(_, samples)| samples.len() > 1)
    }

    fn samples(&self, subject: &str) -> Option<&[f64]> {
        self.samples.iter().find(|(name, _)| *name == subject).map(|(_, samples)| &samples[..])
    }

    pub(crate) fn median(&self, subject: &str) -> Option<f64> {
        Some(median(&mut self.samples(subject)?.to_vec()))
    }

    pub(crate) fn ratio(&self, subject: &str, base: &str) -> Option<Ratio> {
        let pairs = self.samples(subject)?.iter().zip(self.samples(base)?);
        let mut ratios: Vec<f64> = pairs.map(|(ours, base)| ours / base).collect();
        ratios.sort_by(f64::total_cmp);
        let [low, median, high] = [0.25, 0.5, 0.75].map(|part| quantile(&ratios, part));
        median.is_finite().then_some(Ratio { median, low, high })
    }
}

#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn quantile(sorted: &[f64], part: f64) -> f64 {
    let at = part * (sorted.len() - 1) as f64;
    let (below, above) = (sorted[at.floor() as usize], sorted[at.ceil() as usize]);
    below + (above - below) * at.fract()
}
