//! Registrations: the record, the record with its signature, and why one was refused.

use bytes::Bytes;
use connectome_codecs::registration::{Presence, Refusal, RefusalCode, Registration, Signed};
use connectome_codecs::{NodeId, UnixMillis};

use super::{NODE, NOW, Sample, record, sample};

pub(super) fn registrations() -> Vec<Sample> {
    let registration = Registration {
        agent: record("editor"),
        node: NODE,
        incarnation: NOW.0,
        issued: UnixMillis(NOW.0 + 1),
        ttl_s: 900,
        presence: Presence::Node,
    };
    let bytes = registration.encode().expect("a sample is valid");
    let signed = Signed { record: bytes, signature: Bytes::from_static(&[0x5a; 64]) };
    let refusal = Refusal {
        agent: registration.agent.name.clone(),
        node: Some(NODE),
        issued: Some(registration.issued),
        code: RefusalCode::NameTaken,
        holder: Some(NodeId([8; 32])),
        detail: "another node has the name".into(),
    };
    vec![
        sample("registration", "an agent that can be found", registration),
        sample("registration-signed", "the same with a signature (of nobody)", signed),
        sample("registration-refused", "a name that another node has", refusal),
    ]
}
