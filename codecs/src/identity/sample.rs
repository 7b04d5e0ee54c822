//! An instance for the unit tests of what stands on identities.

use super::{Certificate, Claims, Instance, InstanceId, InstanceKeys};
use crate::id::{AgentId, UnixMillis};
use crate::key::{Entropy, Secret, SigningKey, public_random};

/// When the sample's certificates begin.
pub(crate) const NOW: UnixMillis = UnixMillis(1_800_000_000_000);

/// Bytes that differ from call to call.
pub(crate) fn counting() -> impl FnMut(&mut [u8]) {
    let mut counter = 0;
    move |bytes: &mut [u8]| {
        counter += 1;
        bytes.fill(counter);
    }
}

/// An instance of an agent of its own.
pub(crate) fn instance(entropy: &mut dyn Entropy) -> Instance {
    let agent = SigningKey::from_seed(&Secret::random(entropy));
    let keys = InstanceKeys::random(entropy);
    let claims = Claims {
        agent: AgentId(*agent.verifying_key().as_bytes()),
        name: "agent".parse().unwrap(),
        instance: InstanceId(public_random(entropy)),
        signing: *keys.signing.verifying_key().as_bytes(),
        dh: keys.dh.public(),
        bindings: vec![],
        not_before: NOW,
        not_after: UnixMillis(NOW.0 + 1_000),
        capabilities: vec![],
        serial: 1,
    };
    let certificate = Certificate::issue(&claims, &agent, &keys, &[]);
    Instance::new(keys, certificate).unwrap()
}
