//! `connectome envelope decode` and `connectome event decode`: bytes from anywhere, looked into.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use connectome::Bytes;
use connectome::codecs::limits::FRAME_MAX;
use connectome::codecs::{Envelope, Event};

use crate::args::{EnvelopeAction, EnvelopeCommand, Input};
use crate::body;
use crate::doc::Doc;
use crate::failure::Failure;

/// Bytes that are read at the most: the largest frame, in hexadecimal with a space after each digit pair.
const INPUT_MAX: u64 = 3 * FRAME_MAX as u64;

pub(crate) fn envelope(command: &EnvelopeCommand) -> Result<Doc, Failure> {
    let EnvelopeAction::Decode(input) = &command.action;
    let bytes = read(input)?;
    let decoded =
        Envelope::decode(bytes.clone()).map_err(|error| refused(input, "envelope", &error, &bytes))?;
    Ok(body::envelope(&decoded))
}

pub(crate) fn event(input: &Input) -> Result<Doc, Failure> {
    let bytes = read(input)?;
    let decoded = Event::decode(&bytes).map_err(|error| refused(input, "event", &error, &bytes))?;
    Ok(body::event(&decoded))
}

/// The bytes of a file, or of the standard input.
///
/// # Errors
/// When it can't be read, or is longer than anything that this command looks into.
pub(crate) fn read_file(file: &Path) -> Result<Vec<u8>, Failure> {
    let name = name_of(file);
    let bytes = raw(file).map_err(|error| Failure::new(format!("{name} can't be read: {error}")))?;
    if bytes.len() as u64 > INPUT_MAX {
        return Err(Failure::new(format!("{name} has more than {INPUT_MAX} bytes: no frame is that long")));
    }
    Ok(bytes)
}

/// What was named, as bytes.
///
/// # Errors
/// As [`read_file`]; or when it should be hexadecimal and is not.
pub(crate) fn read(input: &Input) -> Result<Bytes, Failure> {
    let (name, bytes) = (name_of(&input.file), read_file(&input.file)?);
    match input.hex {
        true => unhex(&bytes).map(Bytes::from).map_err(|problem| Failure::new(format!("{name}: {problem}"))),
        false => Ok(bytes.into()),
    }
}

fn name_of(file: &Path) -> String {
    if file == Path::new("-") { "the standard input".to_owned() } else { file.display().to_string() }
}

fn raw(file: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if file == Path::new("-") {
        io::stdin().lock().take(INPUT_MAX + 1).read_to_end(&mut bytes)?;
    } else {
        File::open(file)?.take(INPUT_MAX + 1).read_to_end(&mut bytes)?;
    }
    Ok(bytes)
}

fn unhex(text: &[u8]) -> Result<Vec<u8>, String> {
    let mut digits = Vec::with_capacity(text.len());
    for (at, byte) in text.iter().enumerate().filter(|(_, byte)| !byte.is_ascii_whitespace()) {
        match char::from(*byte).to_digit(16) {
            Some(digit) => digits.push(digit as u8),
            None => {
                return Err(format!("byte {at} ({:?}) is no hexadecimal digit", char::from(*byte)));
            }
        }
    }
    match digits.len() % 2 {
        0 => Ok(digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect()),
        _ => Err(format!("it has {} hexadecimal digits, an odd number: one is missing", digits.len())),
    }
}

pub(crate) fn refused(input: &Input, what: &str, error: &dyn std::error::Error, bytes: &[u8]) -> Failure {
    let text = format!("{} is no {what}: {error}", name_of(&input.file));
    let looks_like_hex = !input.hex && !bytes.is_empty() && unhex(bytes).is_ok();
    Failure::new(if looks_like_hex { format!("{text}; it looks like hexadecimal: add --hex") } else { text })
}
