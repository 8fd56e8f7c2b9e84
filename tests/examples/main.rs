//! Runs the echo programs in `examples/` as processes, against each other and against other peers.
//!
//! What they print is compared with the transcripts of the Python programs that they are ports of.
#![cfg(unix)]
#![allow(unreachable_pub, reason = "nothing here is reached from outside")]

#[path = "../common/needs.rs"]
mod needs;
mod peers;
mod program;
mod python;
mod transcripts;
