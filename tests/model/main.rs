//! Random programs over selectors. Each result is compared with a model. The
//! fuzz targets run the same. The model is of Linux, epoll's bits and all.
#![cfg(target_os = "linux")]

mod shared;

use arbitrary::{Arbitrary, Unstructured};
use proptest::collection::vec;
use proptest::prelude::{Strategy, any, prop_oneof};
use proptest::sample;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use std::sync::{Mutex, MutexGuard, PoisonError};

use selectors_core::{Events, Mode};
use shared::language::{Act, LONGEST, Manner, Most, Named, Place, Program, Requested, Sort, Step};
use shared::program;
use shared::world::PLACES;

/// Descriptors are counted, and are the process's, so there is one test at a
/// time.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How often a property is tried here; the fuzz targets try more. `MODEL_CASES`
/// says otherwise.
fn cases(number: u32) -> Config {
    let cases = std::env::var("MODEL_CASES").ok().and_then(|cases| cases.parse().ok());
    Config { cases: cases.unwrap_or(number), failure_persistence: None, ..Config::default() }
}

/// The same programs in every run, unless `MODEL_SEED` is set: a test that
/// fails must fail again.
fn runner(number: u32) -> TestRunner {
    let seed: u8 = std::env::var("MODEL_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(0);
    TestRunner::new_with_rng(cases(number), TestRng::from_seed(RngAlgorithm::ChaCha, &[seed; 32]))
}

/// What a fuzz target would read from these bytes. A part that shrinks by
/// itself.
fn part<T: for<'a> Arbitrary<'a> + std::fmt::Debug>() -> impl Strategy<Value = T> {
    any::<[u8; 16]>().prop_map(|bytes| T::arbitrary(&mut Unstructured::new(&bytes)).unwrap())
}

/// What a program with keys does, which steps at random rarely do.
fn likely() -> impl Strategy<Value = Step> {
    let events = sample::select(vec![Events::READ, Events::WRITE, Events::READ | Events::WRITE]);
    let modes = sample::select(vec![Mode::Level, Mode::Edge, Mode::OneShot]);
    let requested = (events, modes).prop_map(|(events, mode)| Requested::new(events, mode));
    let act = (any::<Place>(), requested.clone(), part::<Manner>(), 0..7_u8).prop_map(
        |(place, requested, manner, choice)| match choice {
            0..2 => Act::Pause,
            2..4 => Act::Resume,
            4 => Act::Modify(requested),
            _ => Act::Exchange(place, manner),
        },
    );
    (any::<Place>(), requested, part::<Sort>(), act, 0..20_u8).prop_map(
        |(place, requested, sort, act, choice)| {
            let [at, id] = [Named::At(place), Named::Id(place)];
            match choice {
                0..2 => Step::Open(place, sort),
                2..5 => Step::Register(place, requested),
                5..8 => Step::Modify(place, requested),
                8 => Step::Unregister(place),
                9 => Step::Write(place),
                10 => Step::Drain(place),
                11 => Step::Hang(place, false),
                12..14 => Step::Call(at, act),
                14 => Step::Call(id, act),
                15 => Step::Through(at, act),
                16 => Step::Through(id, act),
                17 => Step::Walk([act, Act::Nothing, act]),
                _ => Step::Select(Most(choice)),
            }
        },
    )
}

#[test]
fn every_selector_does_as_its_model() {
    let _alone = alone();
    let step = prop_oneof![part::<Step>(), likely()];
    runner(250)
        .run(&(vec(step, 1..LONGEST), 1..=PLACES as Place), |(steps, places)| {
            let steps: Vec<_> = steps.into_iter().map(|step| step.within(places)).collect();
            program::run_all(&steps);
            Ok(())
        })
        .unwrap();
}

/// The seeds of a fuzz target, each a program.
fn replay<T: for<'a> Arbitrary<'a>>(target: &str, run: impl Fn(T)) {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut count = 0;
    for file in std::fs::read_dir(folder).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        if let Ok(program) = T::arbitrary_take_rest(Unstructured::new(&bytes)) {
            run(program);
            count += 1;
        }
    }
    assert!(count > 0, "{target} has no seeds");
}

#[test]
fn the_seeds_of_the_fuzz_targets() {
    let _alone = alone();
    replay("register_modify_unregister", |(kind, program): (u8, Program)| {
        program::run(&program.0, std::iter::once(kind.into()));
    });
    replay("differential", |program: Program| program::run_all(&program.0));
    replay("tables", |program: shared::tables::Program| shared::tables::run_all(&program.0));
    replay("waker", |program: shared::wakes::Program| shared::wakes::run(&program.0));
}

/// Programs that a fuzz target has found, and others that show a known fault.
mod found {
    use super::program::run_all;
    use super::{Events, Mode, Most, Requested, Sort, Step};

    const READ: Requested = Requested::new(Events::READ, Mode::Level);
    const BOTH: Requested = Requested::new(Events::READ.union(Events::WRITE), Mode::Level);

    /// The kernel still watches (file, number) for a removed registration, so
    /// it refused to add the same: `EEXIST`.
    #[test]
    fn a_number_that_comes_back_is_registered_again() {
        let _alone = super::alone();
        use Step::{Close, Dup, Open, Register, Select, Settle, Unregister, Write};
        run_all(&[
            Open(0, Sort::Unix),
            Register(0, READ),
            Dup(0, 1),
            Close(0),
            Unregister(0),
            Dup(1, 0),
            Register(0, BOTH),
            Write(0),
            Select(Most(3)),
            Settle,
            Unregister(0),
            Settle,
        ]);
    }

    /// Planted by hand, and found by no random program of `cargo test`: poll
    /// forgot its result.
    #[test]
    fn a_pending_event_survives_modify() {
        let _alone = super::alone();
        use Step::{Modify, Open, Register, Select, Settle, Take};
        let write = Requested::new(Events::WRITE, Mode::Level);
        run_all(&[
            Open(0, Sort::Unix),
            Register(0, write),
            Select(Most(0)),
            Modify(0, BOTH),
            Take(Most(3)),
            Settle,
        ]);
    }

    /// A kqueue's filter for writing fires. That for reading, which was
    /// reported, does not fire with it.
    #[test]
    fn an_edge_of_one_direction() {
        let _alone = super::alone();
        use Step::{Empty, Fill, Open, Register, Select, Settle, Write};
        let both = Requested::new(Events::READ.union(Events::WRITE), Mode::Edge);
        run_all(&[
            Open(0, Sort::Unix),
            Register(0, both),
            Write(0),
            Fill(0),
            Select(Most(0)),
            Empty(0),
            Settle,
        ]);
    }

    /// FreeBSD deletes the filter of such a pipe when it reports the end, and
    /// refuses the next one.
    #[test]
    fn a_reader_that_leaves_while_the_pipe_is_watched() {
        let _alone = super::alone();
        use Step::{Hang, Modify, Open, Register, Select, Settle, Unregister};
        for mode in [Mode::Level, Mode::Edge, Mode::OneShot] {
            for events in [Events::WRITE, Events::READ.union(Events::WRITE)] {
                let requested = Requested::new(events, mode);
                let read = Requested::new(Events::READ, mode);
                run_all(&[
                    Open(0, Sort::PipeWrite),
                    Register(0, requested),
                    Hang(0, false),
                    Select(Most(3)),
                    Settle,
                    Modify(0, requested),
                    Select(Most(3)),
                    Modify(0, read),
                    Select(Most(3)),
                    Modify(0, requested),
                    Settle,
                    Unregister(0),
                    Settle,
                ]);
            }
        }
    }

    /// poll counts a closed number among what is ready, and it is not delivered
    /// to any key.
    #[test]
    fn a_closed_number_with_a_wake() {
        let _alone = super::alone();
        use Step::{Close, Open, Register, Select, Settle, Wake, Waker};
        let once = Requested::new(Events::READ, Mode::OneShot);
        run_all(&[
            Open(6, Sort::PipeRead),
            Waker,
            Register(6, once),
            Close(6),
            Wake,
            Select(Most(0)),
            Settle,
        ]);
    }

    /// poll has found a closed number, and has not come to it yet: to modify
    /// its key as it is must notice that.
    #[test]
    fn a_closed_number_behind_a_pending_event() {
        let _alone = super::alone();
        use Step::{Close, Dup, Modify, Open, Register, Select, Settle, Take, Write};
        let write = Requested::new(Events::WRITE, Mode::Level);
        let closed = [
            Open(0, Sort::Unix),
            Open(1, Sort::Unix),
            Register(0, write),
            Register(1, READ),
            Close(1),
        ];
        let again = [Open(2, Sort::Unix), Dup(2, 1), Write(2)];
        for again in [&again[..], &[]] {
            let end = [Modify(1, READ), Take(Most(3)), Select(Most(3)), Settle];
            run_all(&[&closed[..], &[Select(Most(0))], again, &end].concat());
        }
    }
}

#[test]
fn key_tables_do_as_their_model() {
    runner(300)
        .run(&vec(part::<shared::tables::Step>(), 1..400), |steps| {
            shared::tables::run_all(&steps);
            Ok(())
        })
        .unwrap();
}

#[test]
fn wakers_wake_their_own_selector() {
    let _alone = alone();
    runner(200)
        .run(&vec(part::<shared::wakes::Step>(), 1..60), |steps| {
            shared::wakes::run(&steps);
            Ok(())
        })
        .unwrap();
}
