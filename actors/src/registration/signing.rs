//! Signing a registration, and opening one that anyone may have written.
//!
//! What is signed (Ed25519, RFC 8032) is `context ‖ 0x00 ‖ record`, where the record is the bytes of a [`Registration`] and
//! the context is `connectome/registration/v1/<namespace>` for what says that an agent is there and
//! `connectome/unregistration/v1/<namespace>` for what says that it is not: a signature says nothing in another cluster,
//! and nothing about the opposite.

use bytes::Bytes;
use connectome_codecs::limits::REGISTRATION_MAX;
use connectome_codecs::registration::{Registration, Signed};
use connectome_codecs::{AgentName, EncodeError, UnixMillis};

use super::ReadRefusal;
use crate::port::KeyStore;
use crate::protocol::registration::FRESH;
use crate::router::Router;

const THERE: &str = "connectome/registration/v1";
const NOT_THERE: &str = "connectome/unregistration/v1";

/// Signs as this node.
pub(super) fn sign(router: &Router, registration: &Registration) -> Result<Bytes, EncodeError> {
    let record = registration.encode()?;
    let signature = keys(router).sign(&context(router, THERE), &record);
    Signed { record, signature: Bytes::copy_from_slice(&signature) }.encode()
}

/// What says that this agent is there, when its node says so.
pub(super) fn open(router: &Router, name: &AgentName, bytes: &[u8]) -> Result<Registration, ReadRefusal> {
    open_as(router, THERE, name, bytes)
}

/// What says that it is not there any more.
pub(super) fn open_end(router: &Router, name: &AgentName, bytes: &[u8]) -> Result<Registration, ReadRefusal> {
    open_as(router, NOT_THERE, name, bytes)
}

/// An entry of the bucket: it must also still hold.
pub(super) fn open_entry(router: &Router, key: &str, bytes: &[u8]) -> Result<Registration, ReadRefusal> {
    let name = key.parse().map_err(|_| ReadRefusal::Foreign)?;
    let registration = open(router, &name, bytes)?;
    if holds(router.now(), &registration) { Ok(registration) } else { Err(ReadRefusal::Stale) }
}

/// Whether it was signed no longer ago than it holds, and not in the future, as far as clocks may differ.
fn holds(wall: UnixMillis, registration: &Registration) -> bool {
    let ahead = registration.issued.since(wall);
    ahead <= FRESH && wall.since(registration.issued) <= registration.ttl() + FRESH
}

fn open_as(
    router: &Router,
    context_of: &str,
    name: &AgentName,
    bytes: &[u8],
) -> Result<Registration, ReadRefusal> {
    let (length, max) = (bytes.len(), REGISTRATION_MAX);
    if length > max {
        return Err(ReadRefusal::Oversized { length, max });
    }
    let malformed = |error: connectome_codecs::DecodeError| ReadRefusal::Malformed(error.to_string());
    let signed = Signed::decode(bytes).map_err(malformed)?;
    let registration = Registration::decode(&signed.record).map_err(malformed)?;
    if registration.agent.name != *name {
        return Err(ReadRefusal::Foreign);
    }
    let signature = <&[u8; 64]>::try_from(&signed.signature[..]).map_err(|_| ReadRefusal::Forged)?;
    let is_right =
        keys(router).verify(registration.node, &context(router, context_of), &signed.record, signature);
    if is_right { Ok(registration) } else { Err(ReadRefusal::Forged) }
}

fn keys(router: &Router) -> &dyn KeyStore {
    &*router.inner().ports.keys
}

fn context(router: &Router, of: &str) -> String {
    format!("{of}/{}", router.inner().config.namespace)
}
