//! Lines of a word and a number.
//!
//! `core::fmt` would add half to the daemon's size.

/// A text of bounded length. More is cut off.
pub(crate) struct Text {
    length: usize,
    bytes: [u8; 768],
}

impl Text {
    pub(crate) fn new() -> Self {
        Self { length: 0, bytes: [0; 768] }
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }

    pub(crate) fn push(&mut self, text: &[u8]) -> &mut Self {
        for (place, byte) in self.bytes.iter_mut().skip(self.length).zip(text) {
            *place = *byte;
            self.length += 1;
        }
        self
    }

    pub(crate) fn line(&mut self, word: &str, mut number: u64) -> &mut Self {
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
