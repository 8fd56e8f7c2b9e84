//! Any program over one selector, each answer held against a model. The first
//! byte says which selector.
#![no_main]

use libfuzzer_sys::fuzz_target;
use selectors_fuzz::shared::{language::Program, program};

fuzz_target!(|input: (u8, Program)| {
    selectors_fuzz::ignore_sigpipe();
    let (kind, Program(steps)) = input;
    program::run(&steps, std::iter::once(kind.into()));
});
