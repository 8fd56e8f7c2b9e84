//! The model of a wait, and of what is consumed after it.

use std::time::Duration;

use selectors_core::backend::Backend;
use selectors_core::{Events, Kind, Mode, SelectResult};

use super::batch::{Batch, Report, Token};
use super::kernel::Known;
use super::keys::Name;
use super::subject::{Modeled, Table};
use super::world::{FileId, Readiness, World};

impl<B: Backend + 'static, M: Table + 'static> Modeled<B, M> {
    /// What a wait may return now, apart from a wake.
    fn reports(
        &self,
        world: &World,
        before: &[(FileId, u16)],
        after: &[(FileId, u16)],
    ) -> Vec<Report> {
        let bits = |look: &[(FileId, u16)], file| {
            look.iter().find(|(one, _)| *one == file).map_or(0, |one| one.1)
        };
        let look = |file| {
            let (before, after) = (bits(before, file), bits(after, file));
            Readiness { least: before & after, most: before | after }
        };
        self.kernel.reports(world, &look, &self.keys.lives())
    }

    /// Waits, and returns how many are ready, the wake included.
    pub(super) fn select(&mut self, world: &World, timeout: Duration) -> usize {
        let (stats, before) = (self.selector.stats(), world.look());
        let result = self.selector.select(Some(timeout)).unwrap();
        let (after, done) = (world.look(), self.selector.stats());
        let requested = self.keys.requested();
        let (rebuilds, zombies) = (done.rebuilds - stats.rebuilds, self.batch.zombies());
        let (must_report, may_report) =
            (self.batch.must_report(&requested), self.batch.may_report(&requested));
        self.batch.looked_at(&requested);
        if rebuilds == 1 {
            assert!(zombies.1, "recreated for no reason");
            self.rebuild(world);
        } else {
            assert!(
                rebuilds == 0 && !(zombies.0 && done.waits > stats.waits),
                "{zombies:?}: it will spin"
            );
        }
        let ways = [result.events() > 0 || result.woken(), result.interrupted(), result.replaced()];
        assert_eq!(result.timed_out(), !ways.contains(&true), "{result:?}");
        assert!(
            ways.iter().filter(|way| **way).count() <= 1 && !result.interrupted(),
            "{result:?}"
        );
        if result.replaced() {
            assert!(
                self.kernel.own().is_some() && self.is_handed_out && rebuilds == 1,
                "{result:?}"
            );
            self.is_handed_out = false;
            self.batch = Batch::default();
            return 0;
        }
        let (events, woken) = (result.events(), usize::from(result.woken()));
        if done.waits == stats.waits {
            assert!(may_report && events > 0 && woken == 0, "{result:?}");
            assert_eq!(events, self.selector.pending());
            assert!(events <= self.batch.left, "{result:?} of {:?}", self.batch);
            return events;
        }
        assert!(!must_report, "it waited, but there was this: {:?}", self.batch);
        assert_eq!(done.waits, stats.waits + 1);
        assert_eq!(
            (done.events, done.wakes),
            (stats.events + events as u64, stats.wakes + woken as u64)
        );
        self.waited(world, result, &before, &after);
        events + woken
    }

    /// Fills the model's batch.
    fn waited(
        &mut self,
        world: &World,
        result: SelectResult,
        before: &[(FileId, u16)],
        after: &[(FileId, u16)],
    ) {
        let closed = self.kernel.drop_closed(world);
        self.fetched = world.now;
        let mut reports = self.reports(world, before, after);
        if self.selector.kind() == Kind::Poll {
            // It may count them, and leaves them out when it comes to them.
            let unused =
                Report { token: Token::MAX, least: 0, most: 1, sure: false, zombie: false };
            reports.extend(std::iter::repeat_n(unused, closed));
        }
        let events = result.events();
        if result.woken() {
            assert!(self.woken.1, "nothing has woken it");
            self.woken = (false, false);
        } else if events < self.room {
            assert!(!self.woken.0, "the wake is lost");
            self.woken = (false, false);
        }
        let room = self.room - usize::from(result.woken());
        for (token, surely) in self.batch.fill(reports, events, room) {
            if surely {
                self.kernel.fetched(token, world.now);
            } else {
                self.kernel.perhaps_fetched(token, world.now);
            }
        }
    }

    fn rebuild(&mut self, world: &World) {
        let watched = self.keys.all.values().filter(|key| key.watched);
        let known = watched.map(|key| Known {
            number: key.fd,
            requested: key.requested,
            token: key.token,
            armed: key.armed,
        });
        let known: Vec<_> = known.collect();
        self.kernel.rebuild(world, &known);
        // The counter of earlier wakes is reported to the new instance again.
        self.woken.1 = self.waker.is_some();
    }

    /// Consumes at most so many, and returns what was reported.
    pub(super) fn take(&mut self, at_most: usize) -> Vec<(Name, Events)> {
        let mut reported = Vec::new();
        while reported.len() < at_most {
            let requested = self.keys.requested();
            let must_report = self.batch.must_report(&requested);
            self.batch.looked_at(&requested);
            let Some((key, events)) = self.selector.next_ready() else {
                assert!(!must_report, "nothing is reported of {:?}", self.batch);
                break;
            };
            self.keys.assert_same(&key);
            let name = key.data;
            let Some(known) = self.keys.all.get_mut(&name) else {
                unreachable!("it was just there")
            };
            assert!(known.armed && known.watched, "{known:?} has reported {events:?}");
            let report = self.batch.take(known.token, events, known.requested);
            self.kernel.fetched(report.token, self.fetched);
            if known.requested.mode == Mode::OneShot {
                known.armed = false;
                self.kernel.fired(known.token, self.fetched);
            }
            reported.push((name, events));
        }
        reported
    }
}
