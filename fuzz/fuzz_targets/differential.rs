//! Any program over all selectors side by side: each held against its model,
//! and one against the other.
#![no_main]

use libfuzzer_sys::fuzz_target;
use selectors_fuzz::shared::{language::Program, program};

fuzz_target!(|program: Program| {
    selectors_fuzz::ignore_sigpipe();
    program::run_all(&program.0);
});
