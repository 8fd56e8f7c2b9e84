//! The echo programs, against each other and against other peers.
//!
//! What they print is compared with the transcripts of the Python programs that
//! they are ports of.

mod peers;
mod python;
mod transcripts;
