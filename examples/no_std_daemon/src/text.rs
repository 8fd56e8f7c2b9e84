//! Text and numbers. `core::fmt` and `core::net` would do, and be half as large as all the rest of the daemon.

use core::net::SocketAddrV4;

/// A decimal number.
pub fn number<T: TryFrom<u32>>(text: &[u8]) -> Option<T> {
    let digit = |number: u32, byte: &u8| {
        let digit = byte.checked_sub(b'0').filter(|digit| *digit < 10)?;
        number.checked_mul(10)?.checked_add(digit.into())
    };
    if text.is_empty() { None } else { T::try_from(text.iter().try_fold(0, digit)?).ok() }
}

/// `1.2.3.4:5`
pub fn address(text: &[u8]) -> Option<SocketAddrV4> {
    let mut parts = text.rsplitn(2, |byte| *byte == b':');
    let (port, address) = (number(parts.next()?)?, parts.next()?);
    let mut octets = [0; 4];
    let mut parts = address.split(|byte| *byte == b'.');
    for octet in &mut octets {
        *octet = number(parts.next()?)?;
    }
    parts.next().is_none().then(|| SocketAddrV4::new(octets.into(), port))
}

/// A text of bounded length; what goes beyond is cut off.
pub struct Text {
    length: usize,
    bytes: [u8; 1024],
}

impl Text {
    pub fn new() -> Self {
        Self { length: 0, bytes: [0; 1024] }
    }

    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }

    pub fn push(&mut self, text: &[u8]) -> &mut Self {
        for (place, byte) in self.bytes.iter_mut().skip(self.length).zip(text) {
            *place = *byte;
            self.length += 1;
        }
        self
    }

    pub fn line(&mut self, word: &str, mut number: u64) -> &mut Self {
        let mut digits = [0; 20];
        let mut length = 0;
        for digit in digits.iter_mut().rev() {
            *digit = b'0' + (number % 10) as u8;
            number /= 10;
            length += 1;
            if number == 0 {
                break;
            }
        }
        let digits = digits.get(digits.len() - length..).unwrap_or_default();
        self.push(word.as_bytes()).push(b" ").push(digits).push(b"\n")
    }
}
