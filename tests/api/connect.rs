//! `selectors_std::connect`: a connection that is established or refused
//! without waiting for it.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};

use rustix::io::Errno;
use selectors_std::{DefaultSelector, Events, PollSelector, connect};

use crate::common::closed_port;
use crate::common::support::SOON;

#[test]
fn a_stream_is_connected_without_waiting() {
    for address in
        [SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), SocketAddr::from((Ipv6Addr::LOCALHOST, 0))]
    {
        let listener = match TcpListener::bind(address) {
            Err(error) if address.is_ipv6() => {
                println!("skipped: no IPv6 on this machine: {error}");
                continue;
            }
            bound => bound.unwrap(),
        };
        let stream = connect(listener.local_addr().unwrap()).unwrap();
        assert!(rustix::io::fcntl_getfd(&stream).unwrap().contains(rustix::io::FdFlags::CLOEXEC));
        let mut selector = DefaultSelector::new().unwrap();
        selector.register(stream, Events::WRITE, ()).unwrap();
        assert_eq!(selector.select(SOON).unwrap().events(), 1);
        let (mut key, events) = selector.next_ready().unwrap();
        assert_eq!((events, key.take_error()), (Events::WRITE, Ok(None)));

        let (mut peer, theirs) = listener.accept().unwrap();
        assert_eq!(key.fileobj.local_addr().unwrap(), theirs);
        assert_eq!(key.read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
        key.write_all(b"hello").unwrap();
        drop(key.unregister());
        let mut text = String::new();
        peer.read_to_string(&mut text).unwrap();
        assert_eq!(text, "hello");
    }
}

#[test]
fn a_refusal_is_an_error_of_the_call_or_of_the_socket() {
    let (_kept, address) = closed_port();
    let stream = match connect(address) {
        Ok(stream) => stream,
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
            return;
        }
    };
    let mut selector = DefaultSelector::new().unwrap();
    selector.register(stream, Events::WRITE, ()).unwrap();
    selector.select(SOON).unwrap();
    let (key, events) = selector.next_ready().unwrap();
    assert!(events.is_writable(), "{events:?}");
    assert_eq!(key.take_error(), Ok(Some(Errno::CONNREFUSED)));
}

#[test]
fn an_impossible_address_is_an_error_of_the_call() {
    let broadcast = SocketAddr::from((Ipv4Addr::BROADCAST, 9));
    assert!(connect(broadcast).is_err(), "TCP has no broadcasts");
}

/// Many at once, of which some are refused: each key says how its own attempt
/// has ended.
#[test]
fn each_of_many_attempts_has_its_own_result() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let open = listener.local_addr().unwrap();
    let (_kept, closed) = closed_port();
    let mut selector = PollSelector::new().unwrap();
    let (mut connected, mut refused) = (0, 0);
    for number in 0..20 {
        let is_open = number % 3 != 0;
        match connect(if is_open { open } else { closed }) {
            Ok(stream) => {
                selector.register(stream, Events::WRITE, is_open).unwrap();
            }
            Err(error) => {
                assert!(!is_open, "{error}");
                refused += 1;
            }
        }
    }
    while !selector.get_map().is_empty() {
        assert!(!selector.select(SOON).unwrap().timed_out());
        while let Some((key, _)) = selector.next_ready() {
            let error = key.take_error().unwrap();
            assert_eq!(error.is_none(), key.data, "{error:?}");
            *if error.is_none() { &mut connected } else { &mut refused } += 1;
            drop(key.unregister());
        }
    }
    assert_eq!((connected, refused), (13, 7));
}

/// What the documentation warns of.
#[test]
#[cfg(target_os = "linux")]
fn a_socket_that_was_never_connected_looks_connected() {
    use rustix::net::{AddressFamily, SocketType, socket};
    let socket = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    let mut selector = DefaultSelector::new().unwrap();
    selector.register(socket, Events::WRITE, ()).unwrap();
    selector.select(SOON).unwrap();
    let (key, events) = selector.next_ready().unwrap();
    assert_eq!((events, key.take_error()), (Events::WRITE | Events::HANGUP, Ok(None)));
}
