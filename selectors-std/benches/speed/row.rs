//! A row of the table: interleaved rounds of several subjects, and what is
//! calculated from them.

use std::fmt::Write;

use crate::measure::Plan;

/// How the handler, or the measured function, is called.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Called {
    Inlined,
    Pointer,
}

impl Called {
    pub(crate) const BOTH: [Self; 2] = [Self::Inlined, Self::Pointer];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Inlined => "inlined",
            Self::Pointer => "pointer",
        }
    }
}

/// One subject at one work. `round` measures it once.
pub(crate) struct Contender<'a> {
    name: &'static str,
    round: Box<dyn FnMut() -> f64 + 'a>,
}

impl<'a> Contender<'a> {
    pub(crate) fn new(name: &'static str, round: impl FnMut() -> f64 + 'a) -> Self {
        Self { name, round: Box::new(round) }
    }
}

/// One work, and the figures of each subject. The first subject is the base of
/// the ratios.
pub(crate) struct Row {
    pub(crate) section: String,
    pub(crate) profile: String,
    pub(crate) called: Called,
    pub(crate) work: String,
    pub(crate) unit: String,
    /// By subject, by round.
    samples: Vec<(String, Vec<f64>)>,
}

/// A ratio of two subjects in the same rounds: the median, and the quartiles.
#[derive(Clone, Copy)]
pub(crate) struct Ratio {
    pub(crate) median: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
}

impl Row {
    pub(crate) fn measure(
        work: &str,
        unit: &str,
        called: Called,
        plan: Plan,
        mut all: Vec<Contender<'_>>,
    ) -> Self {
        let mut samples: Vec<_> = all.iter().map(|one| (one.name.to_owned(), Vec::new())).collect();
        let many = all.len();
        for round in 0..plan.rounds {
            // Each comes first, and after each of the others, equally often.
            for turn in 0..many {
                let turn = if round % 2 == 0 { turn } else { many - 1 - turn };
                let subject = (turn + round / 2) % many;
                samples[subject].1.push((all[subject].round)());
            }
        }
        Self::new(work, unit, called, samples)
    }

    /// A row of figures that do not vary.
    pub(crate) fn exact(work: &str, unit: &str, figures: &[(&str, f64)]) -> Self {
        let samples =
            figures.iter().map(|&(name, figure)| (name.to_owned(), vec![figure])).collect();
        Self::new(work, unit, Called::Inlined, samples)
    }

    pub(crate) fn new(
        work: &str,
        unit: &str,
        called: Called,
        samples: Vec<(String, Vec<f64>)>,
    ) -> Self {
        let (section, profile) = (String::new(), String::new());
        Self { section, profile, called, work: work.to_owned(), unit: unit.to_owned(), samples }
    }

    /// Whether it is in nanoseconds, not exact.
    pub(crate) fn is_timed(&self) -> bool {
        self.unit.starts_with("ns")
    }

    fn samples(&self, subject: &str) -> Option<&[f64]> {
        self.samples.iter().find(|(name, _)| name == subject).map(|(_, samples)| &samples[..])
    }

    pub(crate) fn base(&self) -> &str {
        self.samples.first().map_or("", |(name, _)| name)
    }

    pub(crate) fn median(&self, subject: &str) -> Option<f64> {
        let mut samples = self.samples(subject)?.to_vec();
        samples.sort_by(f64::total_cmp);
        Some(quantile(&samples, 0.5))
    }

    pub(crate) fn ratio(&self, subject: &str, base: &str) -> Option<Ratio> {
        let pairs = self.samples(subject)?.iter().zip(self.samples(base)?);
        let mut ratios: Vec<f64> = pairs.map(|(ours, base)| ours / base).collect();
        ratios.sort_by(f64::total_cmp);
        let [low, median, high] = [0.25, 0.5, 0.75].map(|part| quantile(&ratios, part));
        median.is_finite().then_some(Ratio { median, low, high })
    }

    /// One line for the program that collects the rows of all profiles.
    pub(crate) fn to_line(&self) -> String {
        let Self { section, profile, called, work, unit, samples } = self;
        let mut line = format!("{section}\t{profile}\t{}\t{work}\t{unit}", called.name());
        for (subject, figures) in samples {
            let _ = write!(line, "\t{subject}");
            for figure in figures {
                let _ = write!(line, " {figure:.3}");
            }
        }
        line
    }

    pub(crate) fn from_line(line: &str) -> Option<Self> {
        let mut fields = line.split('\t');
        let mut next = || fields.next().map(str::to_owned);
        let (section, profile, called, work, unit) = (next()?, next()?, next()?, next()?, next()?);
        let called = Called::BOTH.into_iter().find(|one| one.name() == called)?;
        let subject = |field: &str| {
            let mut words = field.split(' ');
            let name = words.next()?.to_owned();
            Some((name, words.map(str::parse).collect::<Result<Vec<f64>, _>>().ok()?))
        };
        let samples = fields.map(subject).collect::<Option<Vec<_>>>()?;
        Some(Self { section, profile, called, work, unit, samples })
    }
}

#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn quantile(sorted: &[f64], part: f64) -> f64 {
    let at = part * (sorted.len() - 1) as f64;
    let (below, above) = (sorted[at.floor() as usize], sorted[at.ceil() as usize]);
    below + (above - below) * at.fract()
}
