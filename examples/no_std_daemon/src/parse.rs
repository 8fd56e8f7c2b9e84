//! Parsers of arguments.
//!
//! The parsers of `core::net` would add a quarter to the daemon's size.

use core::net::SocketAddrV4;

/// Parses a decimal number.
pub(crate) fn number<T: TryFrom<u32>>(text: &[u8]) -> Option<T> {
    let digit = |number: u32, byte: &u8| {
        let digit = byte.checked_sub(b'0').filter(|digit| *digit < 10)?;
        number.checked_mul(10)?.checked_add(digit.into())
    };
    if text.is_empty() { None } else { T::try_from(text.iter().try_fold(0, digit)?).ok() }
}

/// Parses an address like `1.2.3.4:5`.
pub(crate) fn address(text: &[u8]) -> Option<SocketAddrV4> {
    let mut parts = text.rsplitn(2, |byte| *byte == b':');
    let (port, address) = (number(parts.next()?)?, parts.next()?);
    let mut octets = [0; 4];
    let mut parts = address.split(|byte| *byte == b'.');
    for octet in &mut octets {
        *octet = number(parts.next()?)?;
    }
    parts.next().is_none().then(|| SocketAddrV4::new(octets.into(), port))
}
