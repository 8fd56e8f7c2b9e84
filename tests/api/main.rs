//! Does the rest of the public interface work, and what do its messages say?
#![allow(unsafe_code, reason = "a backend by itself, and a number that nothing is open at")]
#![allow(unreachable_pub, reason = "nothing here is reached from elsewhere")]

mod channel;
#[path = "../common/mod.rs"]
mod common;
mod connect;
mod documents;
mod messages;
mod task_waker;
mod user_backend;
mod wait_and_select;
