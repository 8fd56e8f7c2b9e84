#![doc = include_str!("guide.md")]

#[doc = include_str!("connections.md")]
pub mod connections {}

#[doc = include_str!("connecting.md")]
pub mod connecting {}

#[doc = include_str!("modes.md")]
pub mod modes {}

#[doc = include_str!("sources.md")]
pub mod sources {}

#[doc = include_str!("processes.md")]
pub mod processes {}

#[doc = include_str!("children.md")]
pub mod children {}

#[doc = include_str!("threads.md")]
pub mod threads {}

#[doc = include_str!("errors.md")]
pub mod errors {}

#[doc = include_str!("backends.md")]
pub mod backends {}

// The files are links to the repository's examples. A package has copies of
// them.
#[doc = include_str!("examples.md")]
pub mod examples {
    /// A chat server with nicknames.
    ///
    #[doc = concat!("```no_run\n", include_str!("examples/chat.rs"), "```")]
    pub mod chat {}

    /// A port scanner, with many attempts at a time and a timeout for each.
    ///
    #[doc = concat!("```no_run\n", include_str!("examples/port_scan.rs"), "```")]
    pub mod port_scan {}

    /// A supervisor, which restarts children and prints their output.
    ///
    #[doc = concat!("```no_run\n", include_str!("examples/supervisor.rs"), "```")]
    pub mod supervisor {}
}

// Names that have no item here. The page says why, so a search for them leads
// to it.
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
// On a narrow screen long names are wrapped.
#[doc = "<style>@media (max-width: 900px) {
.docblock td { width: 50% }
.docblock td code { overflow-wrap: anywhere }
}</style>"]
pub mod python {}

#[doc = include_str!("mio_and_polling.md")]
// On a narrow screen long names are wrapped.
#[doc = "<style>@media (max-width: 900px) {
.docblock td { width: 50% }
.docblock td code { overflow-wrap: anywhere }
}</style>"]
pub mod mio_and_polling {}

#[doc = include_str!("shared_selector.md")]
#[doc = concat!("```\n", include_str!("shared_selector.rs"), "```")]
pub mod shared_selector {}
