//! Certificates that were verified: whoever hands over a thousand tasks shows the same one a thousand times.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use connectome_codecs::identity::{Certificate, Directory, IdentityLog};
use connectome_codecs::{AgentId, Refusal, UnixMillis};
use parking_lot::Mutex;

use crate::identities::Logs;

/// Certificates that are remembered, of 1 KiB on average: all agents that hand over tasks at a time. Then it begins anew.
const KNOWN_MAX: usize = 1_024;

/// Remembers the certificates that it has verified.
#[derive(Default)]
pub(super) struct Certificates(Mutex<BTreeMap<Bytes, Certificate>>);

/// Those certificates, and what is known of agents' keys now.
pub(super) struct Known<'a> {
    pub(super) certificates: &'a Certificates,
    pub(super) logs: Arc<Logs>,
}

impl Directory for Known<'_> {
    fn log(&self, agent: AgentId) -> Option<&IdentityLog> {
        self.logs.get(&agent)
    }

    fn verify(&self, certificate: Bytes, now: UnixMillis) -> Result<Certificate, Refusal> {
        let known = self.certificates.0.lock().get(&certificate).cloned();
        if let Some(known) = known {
            known.check_not_revoked(&*self.logs)?;
            return known.check_dates(now).map(|()| known);
        }
        let log = self.log(Certificate::agent_of(&certificate)?);
        let verified = Certificate::verify(certificate.clone(), log, now)?;
        let mut table = self.certificates.0.lock();
        if table.len() >= KNOWN_MAX {
            table.clear();
        }
        table.insert(certificate, verified.clone());
        Ok(verified)
    }
}
