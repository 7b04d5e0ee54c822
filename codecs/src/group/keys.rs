//! The chains of a group's other members.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use zeroize::Zeroizing;

use super::message::{Bound, Packet};
use super::sender::Distribution;
use super::{CHAIN_LIFE, ChainId, GroupId, Roster};
use crate::id::{AgentId, UnixMillis};
use crate::identity::{Certificate, Directory, InstanceId, check_version, read_secret};
use crate::key::Label;
use crate::refusal::Refusal;
use crate::session::header::Mark;
use crate::session::{Advance, AlreadyHandled, Context, Found, Receiving};
use crate::wire::{DecodeError, Reader, Writer};

/// The most chains of others: each of a thousand members rotates once while messages of its last chain are on their way.
/// Past it whoever has most loses its oldest.
pub const SENDERS_MAX: usize = 2 * super::MEMBERS_MAX;

/// The most keys for late messages in a group: twenty times a session's. Whoever's messages come so late that more would
/// be kept loses the oldest of its own.
pub const GROUP_SKIPPED_MAX: usize = 20_000;

/// The most messages of one chain that are remembered as handled: all of it.
const CONSUMED_MAX: usize = super::MESSAGES_MAX as usize + 64;

struct Chain {
    certificate: Certificate,
    epoch: u64,
    since: UnixMillis,
    receiving: Receiving,
}

/// The chains of a group's other members.
pub struct GroupKeys {
    group: GroupId,
    chains: BTreeMap<ChainId, Chain>,
}

/// A message to a group that was opened and is not committed.
#[derive(Debug)]
pub struct OpenedInGroup {
    /// What was sealed.
    pub payload: Bytes,
    /// Who sealed it: proved by its signature.
    pub from: (AgentId, InstanceId),
    /// To be committed together with whatever the payload led to.
    pub pending: PendingInGroup,
}

/// What opening a message to a group found out. Dropping it forgets that the message came.
#[must_use = "a message that is not committed comes again"]
pub struct PendingInGroup {
    chain: ChainId,
    number: u32,
    mark: Mark,
    advance: Option<Advance>,
}

impl std::fmt::Debug for PendingInGroup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PendingInGroup(message {}, ..)", self.number)
    }
}

impl GroupKeys {
    /// None yet.
    pub fn new(group: GroupId) -> Self {
        Self { group, chains: BTreeMap::new() }
    }

    /// Takes a chain that came in a session, from the instance with this certificate. One that is known stays as it is.
    ///
    /// # Errors
    /// When it is for another group or another sender's, or the sender is no member.
    pub fn accept(
        &mut self,
        distribution: &[u8],
        from: &Certificate,
        roster: &Roster,
        now: UnixMillis,
    ) -> Result<(), Refusal> {
        let given = Distribution::decode(distribution)?;
        if given.group != self.group || given.certificate != *from.hash() {
            return Err(Refusal::IdentityMismatch { what: "sender key" });
        }
        self.check_member(from, roster)?;
        if self.chains.contains_key(&given.chain) {
            return Ok(());
        }
        if self.chains.len() >= SENDERS_MAX {
            self.make_room(from.claims().agent);
        }
        let receiving = Receiving::begin(Label::GroupChain, given.key, given.next);
        let chain = Chain { certificate: from.clone(), epoch: given.epoch, since: now, receiving };
        self.chains.insert(given.chain, chain);
        Ok(())
    }

    /// Takes the oldest chain of the member that has most, with one more for the newcomer: who makes chains without end
    /// loses its own.
    fn make_room(&mut self, newcomer: AgentId) {
        let mut held: BTreeMap<AgentId, Vec<(UnixMillis, ChainId)>> = BTreeMap::new();
        for (id, chain) in &self.chains {
            held.entry(chain.certificate.claims().agent).or_default().push((chain.since, *id));
        }
        let most = held.into_iter().max_by_key(|(agent, chains)| {
            let is_newcomer = *agent == newcomer;
            (chains.len() + usize::from(is_newcomer), is_newcomer)
        });
        let oldest = most.and_then(|(_, chains)| chains.into_iter().min());
        oldest.into_iter().for_each(|(_, id)| drop(self.chains.remove(&id)));
    }

    fn check_member(&self, from: &Certificate, roster: &Roster) -> Result<(), Refusal> {
        let is_member = roster.group() == self.group && roster.members().contains(&from.claims().agent);
        if is_member { Ok(()) } else { Err(Refusal::NotAMember) }
    }

    /// Opens a message. Nothing changes.
    ///
    /// # Errors
    /// Says why it is not believed, and what becomes of it.
    pub fn open(
        &self,
        bytes: &[u8],
        context: &Context,
        roster: &Roster,
        directory: &dyn Directory,
    ) -> Result<OpenedInGroup, Refusal> {
        let packet = Packet::read(bytes)?;
        let header = &packet.header;
        if header.group != self.group {
            return Err(Refusal::IdentityMismatch { what: "group" });
        }
        let chain = self.chains.get(&header.chain).ok_or(Refusal::UnknownSenderKey)?;
        self.check_member(&chain.certificate, roster)?;
        chain.certificate.check_not_revoked(directory)?;
        let bound = Bound { sender: chain.certificate.hash(), context: context.digest() };
        packet.verify(chain.certificate.signing(), bound)?;
        if header.epoch != chain.epoch {
            return Err(Refusal::IdentityMismatch { what: "epoch" });
        }
        let mark = Mark(packet.mark());
        let Found { key, advance } = chain.receiving.look(header.number, mark)?;
        let payload = Bytes::from(packet.open(&key, bound)?);
        let pending = PendingInGroup { chain: header.chain, number: header.number, mark, advance };
        Ok(OpenedInGroup { payload, from: chain.certificate.whose(), pending })
    }

    /// Commits a message, once [`encode_after`](Self::encode_after) is written with its result.
    ///
    /// # Errors
    /// When another delivery of the message was committed first.
    pub fn commit(&mut self, pending: PendingInGroup, now: UnixMillis) -> Result<(), AlreadyHandled> {
        let skipped = self.chains.values().map(|chain| chain.receiving.skipped.len()).sum::<usize>();
        let chain = self.chains.get_mut(&pending.chain).ok_or(AlreadyHandled)?;
        chain.commit(pending, skipped, now)
    }

    /// The bytes to keep with a message's result.
    ///
    /// # Errors
    /// When another delivery of the message was committed first.
    pub fn encode_after(
        &self,
        pending: &PendingInGroup,
        now: UnixMillis,
    ) -> Result<Zeroizing<Vec<u8>>, AlreadyHandled> {
        let mut after = self.duplicate();
        after.commit(pending.duplicate(), now)?;
        Ok(after.encode())
    }

    /// Erases the chains of those who are members no more, and those that no message can need any more.
    pub fn expire(&mut self, roster: &Roster, retention: Duration, now: UnixMillis) {
        let is_member = |chain: &Chain| roster.members().contains(&chain.certificate.claims().agent);
        let is_over = |chain: &Chain| chain.since.after(CHAIN_LIFE).after(retention) <= now;
        self.chains.retain(|_, chain| is_member(chain) && !is_over(chain));
        self.chains.values_mut().for_each(|chain| chain.receiving.expire(retention, now));
    }

    /// How many chains there are.
    pub fn len(&self) -> usize {
        self.chains.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.chains.is_empty()
    }

    fn duplicate(&self) -> Self {
        let chains = self.chains.iter().map(|(id, chain)| (*id, chain.duplicate())).collect();
        Self { group: self.group, chains }
    }

    /// The bytes to keep. They hold every chain: seal them.
    ///
    /// ```text
    /// [ 1, group: bin 16, [ [ chain: bin 16, certificate: bin, epoch, since: ms, key: bin 32, number, skipped: bin,
    ///                         consumed: bin ] ... ] ]                    the tables as in a session's record
    /// ```
    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        let room = |chain: &Chain| {
            let Receiving { skipped, consumed, .. } = &chain.receiving;
            256 + chain.certificate.bytes().len() + skipped.len() * 44 + consumed.len() * 12
        };
        let mut out = Writer::with_capacity(64 + self.chains.values().map(room).sum::<usize>());
        out.array(3);
        out.uint(1);
        out.bytes(&self.group.0);
        out.array(self.chains.len());
        self.chains.iter().for_each(|(id, chain)| chain.write(id, &mut out));
        Zeroizing::new(out.finish())
    }

    /// Reads what [`encode`](Self::encode) wrote.
    ///
    /// # Errors
    /// When the bytes are something else.
    pub fn decode(bytes: &[u8]) -> Result<Self, Refusal> {
        let malformed = Refusal::malformed("group keys");
        let mut reader = Reader::new(bytes);
        reader.list("group keys", 3).map_err(&malformed)?;
        check_version("group keys", reader.uint("version").map_err(&malformed)?)?;
        let group = GroupId(reader.exactly("group").map_err(&malformed)?);
        let count = reader.items("chains", SENDERS_MAX).map_err(&malformed)?;
        let chains = (0..count).map(|_| Chain::read(&mut reader)).collect::<Result<_, _>>()?;
        reader.end().map_err(malformed)?;
        Ok(Self { group, chains })
    }
}

impl PendingInGroup {
    fn duplicate(&self) -> Self {
        let advance = self.advance.as_ref().map(Advance::duplicate);
        Self { chain: self.chain, number: self.number, mark: self.mark, advance }
    }
}

impl Chain {
    /// `skipped` is how many keys for late messages there are in the whole group.
    fn commit(
        &mut self,
        pending: PendingInGroup,
        skipped: usize,
        now: UnixMillis,
    ) -> Result<(), AlreadyHandled> {
        let PendingInGroup { number, mark, advance, .. } = pending;
        let receiving = &mut self.receiving;
        if !receiving.is_open(number) {
            return Err(AlreadyHandled);
        }
        let before = receiving.skipped.len();
        advance.into_iter().for_each(|advance| receiving.merge(advance, now));
        receiving.consume(number, mark);
        let skipped = skipped - before + receiving.skipped.len();
        (GROUP_SKIPPED_MAX..skipped).for_each(|_| drop(receiving.skipped.pop_first()));
        while receiving.consumed.len() > CONSUMED_MAX {
            receiving.consumed.pop_first();
        }
        Ok(())
    }

    fn duplicate(&self) -> Self {
        let (certificate, receiving) = (self.certificate.clone(), self.receiving.duplicate());
        Self { certificate, epoch: self.epoch, since: self.since, receiving }
    }

    fn write(&self, id: &ChainId, out: &mut Writer) {
        out.array(8);
        out.bytes(id);
        out.bytes(self.certificate.bytes());
        out.uint(self.epoch);
        out.uint(self.since.0);
        self.receiving.write_tables(out);
    }

    fn read(reader: &mut Reader<'_>) -> Result<(ChainId, Self), Refusal> {
        let malformed = Refusal::malformed("group keys");
        let mut head = || -> Result<_, DecodeError> {
            reader.list("chain", 8)?;
            let id: ChainId = reader.exactly("chain")?;
            let certificate = Bytes::copy_from_slice(reader.bytes("certificate")?);
            let epoch = reader.uint("epoch")?;
            let since = UnixMillis(reader.uint("since")?);
            let key = if reader.nil("key")? { None } else { Some(read_secret(reader)?) };
            let receiving = Receiving::read_tables(Label::GroupChain, key, reader)?;
            Ok((id, certificate, epoch, since, receiving))
        };
        let (id, certificate, epoch, since, receiving) = head().map_err(malformed)?;
        Ok((id, Self { certificate: Certificate::read_own_copy(certificate)?, epoch, since, receiving }))
    }
}

impl std::fmt::Debug for GroupKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "GroupKeys({:?}, {} chains, ..)", self.group, self.chains.len())
    }
}
