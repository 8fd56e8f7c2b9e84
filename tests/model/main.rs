//! Random programs over selectors, each answer held against a model. The fuzz targets run the same.
//! The model is of Linux, epoll's bits and all.
#![cfg(target_os = "linux")]

mod shared;

use arbitrary::{Arbitrary, Unstructured};
use proptest::collection::vec;
use proptest::prelude::{Strategy, any};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use std::sync::{Mutex, MutexGuard, PoisonError};

use shared::language::{Program, Step};
use shared::program;

/// Descriptors are counted, and are the process's, so there is one test at a time.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How often a property is tried here; the fuzz targets try more. `MODEL_CASES` says otherwise.
fn cases(number: u32) -> Config {
    let cases = std::env::var("MODEL_CASES").ok().and_then(|cases| cases.parse().ok());
    Config { cases: cases.unwrap_or(number), failure_persistence: None, ..Config::default() }
}

/// The same programs in every run, unless `MODEL_SEED` is set: a test that fails must fail again.
fn runner(number: u32) -> TestRunner {
    let seed: u8 = std::env::var("MODEL_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(0);
    TestRunner::new_with_rng(cases(number), TestRng::from_seed(RngAlgorithm::ChaCha, &[seed; 32]))
}

/// What a fuzz target would read from these bytes. A part that shrinks by itself.
fn part<T: for<'a> Arbitrary<'a> + std::fmt::Debug>() -> impl Strategy<Value = T> {
    any::<[u8; 16]>().prop_map(|bytes| T::arbitrary(&mut Unstructured::new(&bytes)).unwrap())
}

#[test]
fn every_selector_answers_as_its_model() {
    let _alone = alone();
    runner(250)
        .run(&vec(part::<Step>(), 1..120), |steps| {
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

/// What the fuzz targets found, and what was thought of before they could.
mod found {
    use selectors_core::{Events, Mode};

    use super::program::run_all;
    use super::shared::language::{Asked, Sort, Step};

    const READ: Asked = Asked::new(Events::READ, Mode::Level);
    const BOTH: Asked = Asked::new(Events::READ.union(Events::WRITE), Mode::Level);

    /// The kernel still watches (file, number) for a registration that is gone, so it refused to add the same: `EEXIST`.
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
            Select(9),
            Settle,
            Unregister(0),
            Settle,
        ]);
    }

    /// Planted by hand, and found by no random program of `cargo test`: poll forgot what it had been answered.
    #[test]
    fn what_waits_to_be_taken_survives_modify() {
        let _alone = super::alone();
        use Step::{Modify, Open, Register, Select, Settle, Take};
        let write = Asked::new(Events::WRITE, Mode::Level);
        run_all(&[Open(0, Sort::Unix), Register(0, write), Select(0), Modify(0, BOTH), Take(9), Settle]);
    }

    /// poll counts a closed number beside what is ready, and tells nobody of it.
    #[test]
    fn a_closed_number_beside_a_wake() {
        let _alone = super::alone();
        use Step::{Close, Open, Register, Select, Settle, Wake, Waker};
        let once = Asked::new(Events::READ, Mode::OneShot);
        run_all(&[Open(6, Sort::PipeRead), Waker, Register(6, once), Close(6), Wake, Select(0), Settle]);
    }
}

#[test]
fn key_tables_answer_as_a_btreemap() {
    runner(300)
        .run(&vec(part::<shared::tables::Step>(), 1..400), |steps| {
            shared::tables::run_all(&steps);
            Ok(())
        })
        .unwrap();
}

#[test]
fn wakers_wake_whom_they_belong_to() {
    let _alone = alone();
    runner(200)
        .run(&vec(part::<shared::wakes::Step>(), 1..60), |steps| {
            shared::wakes::run(&steps);
            Ok(())
        })
        .unwrap();
}
