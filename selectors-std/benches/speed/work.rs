//! Work on eventfds that is the same for all subjects that are built on epoll.

use crate::measure::Plan;
use crate::pool::Pool;
use crate::row::{Called, Contender};
use crate::subjects::{
    BARE, Bare, FIXED, Fixed, GROWABLE, Growable, LEVEL, MIO, Mio, POLLING, Pointer, Polling,
    Subject, Watch,
};

pub(crate) trait Work: Copy {
    /// Sets up, measures, and closes all again, so that no subject has to do
    /// with the registrations of another.
    fn round<'a, S: Subject<'a>>(self, plan: Plan, pool: &'a Pool) -> f64;
}

/// Where a work is measured, and how.
#[derive(Clone, Copy)]
pub(crate) struct Setting<'a> {
    pub(crate) plan: Plan,
    pub(crate) pool: &'a Pool,
    pub(crate) called: Called,
    /// mio is measured only here.
    pub(crate) edge: bool,
}

impl<'a> Setting<'a> {
    pub(crate) fn contender<S: Subject<'a>>(
        self,
        name: &'static str,
        work: impl Work + 'a,
    ) -> Contender<'a> {
        let Self { plan, pool, called, .. } = self;
        Contender::new(name, move || match called {
            Called::Inlined => work.round::<S>(plan, pool),
            Called::Pointer => work.round::<Pointer<S>>(plan, pool),
        })
    }

    /// All subjects that have this mode.
    pub(crate) fn contenders(self, work: impl Work + 'a) -> Vec<Contender<'a>> {
        let mut all = vec![
            self.contender::<Bare<'a>>(BARE, work),
            self.contender::<Growable<'a>>(GROWABLE, work),
            self.contender::<Fixed<'a, 10_240>>(FIXED, work),
            self.contender::<Polling<'a>>(POLLING, work),
        ];
        if self.edge {
            all.push(self.contender::<Mio<'a>>(MIO, work));
        }
        all
    }

    pub(crate) fn watch(self) -> Watch {
        Watch { edge: self.edge, ..LEVEL }
    }

    /// What the name of a work ends with.
    pub(crate) fn mode(self) -> &'static str {
        mode(self.edge)
    }
}

pub(crate) fn mode(edge: bool) -> &'static str {
    if edge { "edge" } else { "level" }
}
