//! Hides the length of a payload within buckets: 64, 256 and 1,024 bytes, then whole kilobytes.
//!
//! The payload, the byte `0x80`, and zeros up to the bucket's end (ISO/IEC 7816-4).

use crate::refusal::Refusal;
use crate::wire::DecodeError;

const KILO: usize = 1024;

/// Appends what fills the bucket.
pub(crate) fn pad(buffer: &mut Vec<u8>, payload: usize) {
    let needed = payload + 1;
    let bucket = [64, 256, KILO].into_iter().find(|bucket| needed <= *bucket);
    let bucket = bucket.unwrap_or_else(|| needed.div_ceil(KILO) * KILO);
    buffer.push(0x80);
    buffer.resize(buffer.len() + bucket - needed, 0);
}

/// The payload without what filled its bucket.
pub(crate) fn unpad(padded: &[u8]) -> Result<&[u8], Refusal> {
    let end = padded.iter().rposition(|byte| *byte != 0).filter(|end| padded[*end] == 0x80);
    let wrong = || DecodeError::field("padding", "it does not end with 0x80 and zeros");
    let end = end.ok_or_else(|| Refusal::malformed("padded payload")(wrong()))?;
    Ok(&padded[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whatever is padded comes back, and its length tells the bucket alone.
    #[test]
    fn padding_hides_the_length_and_comes_off() {
        for (length, bucket) in
            [(0, 64), (63, 64), (64, 256), (255, 256), (256, 1024), (1024, 2048), (5000, 5120)]
        {
            let payload = vec![0; length];
            let mut padded = payload.clone();
            pad(&mut padded, length);
            assert_eq!(padded.len(), bucket);
            assert_eq!(unpad(&padded).unwrap(), payload);
        }
        assert!(unpad(&[0, 0]).is_err());
        assert!(unpad(&[1, 0]).is_err());
    }
}
