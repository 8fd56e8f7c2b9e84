#![doc = include_str!("guide.md")]

#[doc = include_str!("python.md")]
pub mod python {}

#[doc = include_str!("mio_and_polling.md")]
pub mod mio_and_polling {}
