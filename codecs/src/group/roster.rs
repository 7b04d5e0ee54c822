//! Who is a member.
//!
//! ```text
//! roster: [ body: bin, owner's certificate: bin, signature by its instance: bin 64 ]      over  members ‖ body
//! body:   [ 1, group: bin 16, epoch, owner: bin 32, [ member: bin 32 ... ] ]
//! ```
//!
//! Members rise. The epoch rises with each change; [`Pins`] refuse an older roster, and another owner's is another group's.

use std::collections::BTreeSet;

use bytes::Bytes;

use super::GroupId;
use crate::id::{AgentId, UnixMillis};
use crate::identity::{Certificate, Directory, Instance, Pins, check_version};
use crate::key::derive::hash;
use crate::key::{Digest, Label};
use crate::refusal::Refusal;
use crate::wire::{DecodeError, Reader, Writer};

/// The most members: each gets each sender's key in a session of its own. What is larger is an event stream.
pub const MEMBERS_MAX: usize = 1_000;

/// The longest roster: all members, and the longest certificate.
const ROSTER_MAX: usize = MEMBERS_MAX * 34 + 8 * 1024;

const WHAT: &str = "roster";

/// The members of a group at one epoch. One that is here was verified.
///
/// The owner must be a member to read and write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Roster {
    bytes: Bytes,
    hash: Digest,
    group: GroupId,
    epoch: u64,
    owner: AgentId,
    members: BTreeSet<AgentId>,
}

impl Roster {
    /// Signs a roster, for its owner.
    ///
    /// # Errors
    /// When there are more members than a group has.
    pub fn issue(
        owner: &Instance,
        group: GroupId,
        epoch: u64,
        members: BTreeSet<AgentId>,
    ) -> Result<Self, Refusal> {
        if members.len() > MEMBERS_MAX {
            return Err(Refusal::Full { what: "member", max: MEMBERS_MAX });
        }
        let certificate = owner.certificate();
        let agent = certificate.claims().agent;
        let body = encode_body(group, epoch, agent, &members);
        let mut out = Writer::with_capacity(body.len() + 1024);
        out.array(3);
        out.bytes(&body);
        out.bytes(certificate.bytes());
        out.bytes(&owner.keys().signing.sign(Label::Roster, &[&body]));
        let bytes = Bytes::from(out.finish());
        Ok(Self { hash: hash(&[&bytes]), bytes, group, epoch, owner: agent, members })
    }

    /// Reads a roster that anyone may have written, of the group that this agent owns, and pins it.
    ///
    /// # Errors
    /// Says which signature or rule does not hold; [`Refusal::RolledBack`] for an older one than was seen.
    pub fn verify(
        bytes: Bytes,
        owner: AgentId,
        directory: &dyn Directory,
        pins: &mut Pins,
        now: UnixMillis,
    ) -> Result<Self, Refusal> {
        let malformed = Refusal::malformed(WHAT);
        let (body, certificate, signature) = read_parts(&bytes).map_err(&malformed)?;
        let certificate = Certificate::verify_at_any_time(certificate, directory.log(owner))?;
        certificate.signing().verify(Label::Roster, &[body], &signature)?;
        let roster = Self::read(body, &bytes)?;
        if roster.owner != owner || certificate.claims().agent != owner {
            return Err(Refusal::IdentityMismatch { what: "roster" });
        }
        pins.admit_roster(roster.group.0, roster.epoch, roster.hash, now)?;
        Ok(roster)
    }

    fn read(body: &[u8], bytes: &Bytes) -> Result<Self, Refusal> {
        let malformed = Refusal::malformed(WHAT);
        let mut reader = Reader::new(body);
        let later = reader.open(WHAT, 5).map_err(&malformed)?;
        check_version(WHAT, reader.uint("version").map_err(&malformed)?)?;
        let group = GroupId(reader.exactly("group").map_err(&malformed)?);
        let epoch = reader.uint("epoch").map_err(&malformed)?;
        let owner = AgentId(reader.exactly("owner").map_err(&malformed)?);
        let members = read_members(&mut reader).map_err(&malformed)?;
        reader.close(later).map_err(malformed)?;
        Ok(Self { hash: hash(&[bytes]), bytes: bytes.clone(), group, epoch, owner, members })
    }

    /// The group.
    pub fn group(&self) -> GroupId {
        self.group
    }

    /// Which of its rosters it is.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Who may change it.
    pub fn owner(&self) -> AgentId {
        self.owner
    }

    /// Who may read and write.
    pub fn members(&self) -> &BTreeSet<AgentId> {
        &self.members
    }

    /// The bytes that were verified.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }
}

fn encode_body(group: GroupId, epoch: u64, owner: AgentId, members: &BTreeSet<AgentId>) -> Vec<u8> {
    let mut out = Writer::with_capacity(members.len() * 34 + 128);
    out.array(5);
    out.uint(1);
    out.bytes(&group.0);
    out.uint(epoch);
    out.bytes(&owner.0);
    out.array(members.len());
    members.iter().for_each(|member| out.bytes(&member.0));
    out.finish()
}

fn read_parts(bytes: &[u8]) -> Result<(&[u8], Bytes, [u8; 64]), DecodeError> {
    if bytes.len() > ROSTER_MAX {
        return Err(DecodeError::TooLong { what: WHAT, length: bytes.len(), max: ROSTER_MAX });
    }
    let mut reader = Reader::new(bytes);
    let later = reader.open(WHAT, 3)?;
    let body = reader.bytes("body")?;
    let certificate = Bytes::copy_from_slice(reader.bytes("certificate")?);
    let parts = (body, certificate, reader.exactly("signature")?);
    reader.close(later)?;
    Ok(parts)
}

fn read_members(reader: &mut Reader<'_>) -> Result<BTreeSet<AgentId>, DecodeError> {
    let mut members = BTreeSet::new();
    for _ in 0..reader.items("members", MEMBERS_MAX)? {
        let member = AgentId(reader.exactly("member")?);
        if members.last().is_some_and(|last| *last >= member) {
            return Err(DecodeError::field("members", "members that do not rise; send each once, rising"));
        }
        members.insert(member);
    }
    Ok(members)
}
