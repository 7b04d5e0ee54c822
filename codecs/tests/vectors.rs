//! The bytes on the wire are pinned: what the files in `tests/vectors` hold is what this version writes and reads.
//!
//! After a change that is meant, write them anew and read the difference:
//! `CONNECTOME_VECTORS=write cargo test -p connectome-codecs vectors`.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use connectome_codecs::{Address, Envelope};
use serde_json::{Value, json};

use crate::samples::{Sample, samples};

/// Every vector decodes to its value, and the value encodes to the vector, byte for byte.
#[test]
fn vectors_hold_in_both_directions() {
    write_if_asked();
    for sample in samples() {
        let path = folder().join(format!("{}.hex", sample.name));
        let text = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}; {HOW}", path.display()));
        let bytes = from_hex(&text);
        assert_eq!(to_hex(&sample.bytes), text, "{}: this value has other bytes; {HOW}", sample.name);
        assert!((sample.is)(&bytes), "{}: these bytes are another value", sample.name);
        assert_eq!((sample.codec)(&bytes).unwrap(), bytes, "{}: encoding again changes it", sample.name);
    }
}

/// The index names every file and describes every envelope, and there is no file that it does not name.
#[test]
fn index_is_complete() {
    write_if_asked();
    let text = fs::read_to_string(folder().join("index.json")).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), index(), "{HOW}");
    let files = fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path());
    let files = files.filter(|path| path.extension().is_some_and(|extension| extension == "hex")).count();
    assert_eq!(files, samples().len(), "a file that no sample makes: remove it");
}

/// Python, with its standard library and the documentation of `envelope`, reads the envelopes as this crate does.
#[test]
fn an_independent_reader_agrees() {
    write_if_asked();
    let output = Command::new("python3").arg(folder().join("check.py")).output().unwrap_or_else(|e| {
        panic!(
            "python3 does not start ({e}); this test needs Python 3: install it and put python3 on the PATH"
        )
    });
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("envelopes agree"), "{said}");
}

const HOW: &str = "after a change that is meant, run this test with CONNECTOME_VECTORS=write";

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/vectors")
}

fn write_if_asked() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    if std::env::var("CONNECTOME_VECTORS").is_ok_and(|wish| wish == "write") {
        ONCE.call_once(write);
    }
}

fn write() {
    for sample in samples() {
        fs::write(folder().join(format!("{}.hex", sample.name)), to_hex(&sample.bytes)).unwrap();
    }
    fs::write(folder().join("index.json"), serde_json::to_string_pretty(&index()).unwrap() + "\n").unwrap();
}

fn index() -> Value {
    samples().iter().map(entry).collect()
}

fn entry(sample: &Sample) -> Value {
    let mut entry = json!({ "name": sample.name, "what": sample.what, "bytes": sample.bytes.len() });
    if let Some(envelope) = &sample.envelope {
        entry["envelope"] = description(envelope);
    }
    entry
}

/// The fields of an envelope as the documentation names them; bytes as hexadecimal digits.
fn description(envelope: &Envelope) -> Value {
    let trace = envelope.trace.as_ref();
    let unknown = envelope.unknown.iter().map(|(key, value)| json!([key, hex(value)]));
    json!({
        "version": envelope.version,
        "id": hex(&envelope.id.to_bytes()),
        "kind": envelope.kind.code(),
        "name": envelope.name,
        "from": envelope.from.as_ref().map(address),
        "to": address(&envelope.to),
        "correlation": envelope.correlation.map(|id| hex(&id.to_bytes())),
        "reply_to": envelope.reply_to.map(|node| hex(&node.0)),
        "sent": envelope.sent,
        "expires": envelope.expires,
        "trace": trace.map(|trace| trace.to_string()),
        "trace_state": trace.and_then(|trace| trace.state.as_ref()).map(|state| state.as_str()),
        "attempt": envelope.attempt,
        "idempotency_key": envelope.idempotency_key,
        "content_type": envelope.content_type,
        "encoding": envelope.encoding.code(),
        "call_chain": envelope.call_chain,
        "unknown": unknown.collect::<Value>(),
        "body": hex(&envelope.body),
    })
}

fn address(address: &Address) -> Value {
    match address {
        Address::Id(id) => json!({ "key": hex(&id.0) }),
        Address::Agent(_) | Address::Capability(_) => json!(address.to_string()),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Lines of 32 bytes.
fn to_hex(bytes: &[u8]) -> String {
    bytes.chunks(32).map(|line| hex(line) + "\n").collect()
}

fn from_hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(byte).collect()
}
