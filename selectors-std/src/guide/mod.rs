#![doc = include_str!("guide.md")]

// Names that have no item here. The page says why, so a search for them leads to it.
#[doc(alias = "DevpollSelector")]
#[doc(alias = "devpoll")]
#[doc(alias = "fromfd")]
#[doc(alias = "PIPE_BUF")]
#[doc(alias = "EPOLLEXCLUSIVE")]
#[doc(alias = "EPOLLWAKEUP")]
#[doc(alias = "EPOLLMSG")]
#[doc(alias = "POLLMSG")]
#[doc(alias = "KQ_FILTER_AIO")]
#[doc(alias = "KQ_FILTER_VNODE")]
#[doc(alias = "KQ_FILTER_PROC")]
#[doc(alias = "KQ_FILTER_NETDEV")]
#[doc = include_str!("python.md")]
pub mod python {}

#[doc = include_str!("mio_and_polling.md")]
pub mod mio_and_polling {}

#[doc = include_str!("shared_selector.md")]
#[doc = concat!("```\n", include_str!("shared_selector.rs"), "```")]
pub mod shared_selector {}
