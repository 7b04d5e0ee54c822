//! The search for canaries: 16 random bytes each, in whatever form they could have been written down.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use connectome::Bytes;
use connectome::prelude::*;
use rand::Rng;

/// The canaries of one run: a file for each, 16 bytes.
pub(super) struct Canaries<'a>(pub(super) &'a Path);

/// What is said: a canary.
#[derive(Message, Serialize, Deserialize, Clone)]
#[message(name = "song", reply = Song)]
pub(super) struct Song {
    pub(super) raw: Bytes,
    pub(super) text: String,
}

impl Canaries<'_> {
    pub(super) fn release(&self, names: &[&str]) {
        for name in names {
            let mut canary = [0; 16];
            rand::rng().fill_bytes(&mut canary);
            fs::write(self.0.join(name), canary).unwrap();
        }
    }

    fn raw(&self, name: &str) -> Vec<u8> {
        fs::read(self.0.join(name)).unwrap()
    }

    pub(super) fn hex(&self, name: &str) -> String {
        self.raw(name).iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// As bytes and as text: what is left of either is found.
    pub(super) fn song(&self, name: &str) -> Song {
        Song { raw: self.raw(name).into(), text: self.hex(name) }
    }

    /// Each way in which it could have been written down.
    fn forms(&self, name: &str) -> Vec<Vec<u8>> {
        let (raw, hex) = (self.raw(name), self.hex(name));
        let mut forms = vec![hex.to_uppercase().into_bytes(), hex.into_bytes()];
        // In base64 it looks different after one byte and after two.
        for before in 0..3 {
            let text = base64(&[&[0; 3][..before], &raw].concat());
            forms.push(text[4..24 - 4].to_vec());
        }
        forms.push(raw);
        forms
    }

    /// Those that are in any file below these directories, in whatever form.
    pub(super) fn found<'n>(&self, names: &[&'n str], below: &[&Path]) -> BTreeSet<&'n str> {
        let mut files = Vec::new();
        below.iter().for_each(|directory| read_all(directory, &mut files));
        assert!(files.iter().map(Vec::len).sum::<usize>() > LEAST, "there is something to look through");
        let forms: Vec<_> = names
            .iter()
            .flat_map(|name| self.forms(name).into_iter().map(move |form| (*name, form)))
            .collect();
        files.iter().flat_map(|file| found_in(file, &forms)).collect()
    }
}

/// Bytes that there are at the least, wherever it is looked.
const LEAST: usize = 64;

fn base64(bytes: &[u8]) -> Vec<u8> {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = Vec::new();
    for chunk in bytes.chunks(3) {
        let bits = (0..3).fold(0_u32, |bits, at| bits << 8 | u32::from(*chunk.get(at).unwrap_or(&0)));
        text.extend([18, 12, 6, 0].map(|shift| LETTERS[(bits >> shift & 63) as usize]));
    }
    text
}

/// One pass over a file: most places are passed over by their first two bytes.
fn found_in<'n>(file: &[u8], forms: &[(&'n str, Vec<u8>)]) -> Vec<&'n str> {
    let pair = |bytes: &[u8]| usize::from(bytes[0]) << 8 | usize::from(bytes[1]);
    let mut begins = vec![false; 1 << 16];
    forms.iter().for_each(|(_, form)| begins[pair(form)] = true);
    // Stores reserve room that holds nothing yet.
    let end = file.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    let places = file[..end].windows(2).enumerate().filter(|(_, two)| begins[pair(two)]);
    let at = |place: usize| forms.iter().filter(move |(_, form)| file[place..].starts_with(form));
    places.flat_map(|(place, _)| at(place)).map(|(name, _)| *name).collect()
}

fn read_all(directory: &Path, files: &mut Vec<Vec<u8>>) {
    for entry in fs::read_dir(directory).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_dir() {
            read_all(&entry.path(), files);
        } else {
            files.push(fs::read(entry.path()).unwrap());
        }
    }
}

/// It finds a canary in each form, also in the middle of something else.
#[test]
fn the_search_finds_what_is_there() {
    let home = tempfile::tempdir().unwrap();
    let (canaries, names) = (Canaries(home.path()), ["state", "other"]);
    canaries.release(&names);
    let raw = canaries.raw("state");
    let encoded = |before: &[u8]| base64(&[before, &raw, b"tail"].concat());
    let places =
        [raw.clone(), canaries.hex("state").into_bytes(), encoded(b""), encoded(b"a"), encoded(b"ab")];
    for text in places {
        let below = tempfile::tempdir().unwrap();
        for name in ["a", "b", "c", "d"] {
            fs::write(below.path().join(name), [&b"before "[..], &text, b" behind"].concat()).unwrap();
        }
        assert_eq!(canaries.found(&names, &[below.path()]), BTreeSet::from(["state"]));
    }
}
