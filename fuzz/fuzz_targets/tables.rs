//! The key tables, fixed and growing, against the model of the registrations,
//! without system calls.
#![no_main]

use libfuzzer_sys::fuzz_target;
use selectors_fuzz::shared::tables::{self, Program};

fuzz_target!(|program: Program| tables::run_all(&program.0));
