//! Runs the programs in `examples/` as processes against each other and compares
//! what they print with the transcripts of the Python programs they are ports of,
//! then sends the servers peers that do not behave as the ported clients do.
#![cfg(unix)]
#![allow(unreachable_pub, reason = "nothing here is reached from elsewhere")]

#[path = "../common/needs.rs"]
mod needs;
mod peers;
mod program;
mod python;
mod transcripts;
