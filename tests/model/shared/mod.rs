//! What the fuzz targets and the tests of this folder share: languages of
//! operations, and models that say what must be returned.
//!
//! - `language` is what programs over selectors are written in, `world` the
//!   descriptors they are about.
//! - `epoll`, `kqueue`, `scan` and `batch` are pure: what the `kernel` watches,
//!   and what the last wait may have returned.
//! - `keys` is pure, too: the registrations, whatever the backend. `acts` does
//!   the same to a key and to the model, and `source` is what is registered: it
//!   may be exchanged, panic or lie.
//! - `subject` and `waits` run one selector next to its model, `program`
//!   several of them side by side.
//! - `fake` and `tables` do without a kernel: the key tables against the model
//!   of `keys`.
//! - `wakes` is a second language, of wakers and the selectors they wake.
//!
//! The fuzz package includes this folder by its path, `tests/model/main.rs` as
//! a module.
#![allow(unsafe_code, reason = "raw registration, and closing without the selector's knowledge")]
#![allow(unreachable_pub, dead_code, reason = "each target uses its part")]

#[path = "../../emulated_kqueue/mod.rs"]
pub mod emulated_kqueue;
#[path = "../../common/needs.rs"]
pub mod needs;

pub mod acts;
pub mod batch;
pub mod epoll;
pub mod fake;
pub mod kernel;
pub mod keys;
pub mod kqueue;
pub mod language;
pub mod program;
pub mod scan;
pub mod source;
pub mod subject;
pub mod tables;
pub mod waits;
pub mod wakes;
pub mod world;
