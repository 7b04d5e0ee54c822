//! `connectome message`: who said a message, proved offline.

use std::collections::BTreeMap;
use std::path::Path;

use connectome::codecs::identity::{Card, IdentityLog};
use connectome::codecs::signature::{Evidence, Proved};
use connectome::codecs::{AgentId, Envelope};

use crate::args::{MessageAction, MessageCommand};
use crate::doc::Doc;
use crate::failure::Failure;
use crate::{body, decode, keys};

pub(crate) fn run(command: &MessageCommand) -> Result<Doc, Failure> {
    let MessageAction::Verify { input, card } = &command.action;
    let bytes = decode::read(input)?;
    let evidence =
        Evidence::decode(&bytes).map_err(|refusal| decode::refused(input, "evidence", &refusal, &bytes))?;
    let known = card.as_deref().map(log_of).transpose()?.unwrap_or_default();
    let proved =
        evidence.verify(&known).map_err(|refusal| Failure::new(format!("this proves nothing: {refusal}")))?;
    Ok(show(&proved))
}

/// What the agent of a card took back.
fn log_of(card: &Path) -> Result<BTreeMap<AgentId, IdentityLog>, Failure> {
    let card: Card = keys::read_card(card)?;
    Ok(card.log().cloned().map(|log| (log.agent(), log)).into_iter().collect())
}

fn show(proved: &Proved) -> Doc {
    let (from, until) = proved.certified;
    let said = match Envelope::decode(proved.payload.clone()) {
        Ok(envelope) => body::envelope(&envelope),
        Err(_) => Doc::Octets(proved.payload.clone()),
    };
    Doc::Record(vec![
        ("said_by", Doc::text(proved.agent)),
        ("fingerprint", Doc::Text(proved.agent.fingerprint())),
        ("instance", Doc::text(proved.instance)),
        ("serial", Doc::Number(proved.serial)),
        ("certified_from", Doc::Moment(from)),
        ("certified_until", Doc::Moment(until)),
        ("message", said),
    ])
}
