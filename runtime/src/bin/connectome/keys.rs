//! `connectome keys`: who agents are, newer keys, keys taken back, and cards to hand around.

use std::path::Path;
use std::time::Duration;

use connectome::codecs::identity::{Card, Claims, IdentityLog, Suite};
use connectome::codecs::{AgentId, AgentName};
use connectome::keystore::{self, read_passphrase};
use connectome::port::World;
use connectome::{Published, Router};

use crate::args::{CardInput, KeysAction, KeysCommand, StoreArgs};
use crate::decode;
use crate::doc::{Doc, Table};
use crate::failure::Failure;
use crate::store::{self, Store};

pub(crate) fn run(command: &KeysCommand) -> Result<Doc, Failure> {
    match &command.action {
        KeysAction::Verify(input) => verify(input),
        KeysAction::Protect => protect(&command.store),
        action => store::with(&command.store, async |store| act(&store, action).await),
    }
}

async fn act(store: &Store, action: &KeysAction) -> Result<Doc, Failure> {
    let router = store.router()?;
    match action {
        KeysAction::Ls => list(router).await,
        KeysAction::Show { agent } => Ok(show(&published(router, agent).await?)),
        KeysAction::Export { agent } => {
            let card = published(router, agent).await?.card()?.to_string();
            Ok(Doc::Said(card.clone(), vec![("card", Doc::Text(card))]))
        }
        KeysAction::Rotate { agent } => {
            let published = router.rotate_keys(agent).await?;
            Ok(said(format!("{agent} has new prekeys, for sessions that begin from now on"), &published))
        }
        KeysAction::Organisation => {
            let id = router.organisation_id();
            Ok(Doc::Said(id.to_string(), vec![("organisation", Doc::text(id))]))
        }
        KeysAction::Vouch { id, withdraw: true, .. } => {
            router.withdraw_voucher(id.0).await?;
            Ok(Doc::Said(format!("{} is not vouched for any more", id.0), vec![("id", Doc::text(id.0))]))
        }
        KeysAction::Vouch { id, days, withdraw: false } => {
            let voucher = router.vouch_for(id.0, Duration::from_secs(u64::from(*days) * 24 * 3600)).await?;
            let parts = vec![
                ("id", Doc::text(voucher.agent())),
                ("organisation", Doc::text(voucher.organisation())),
                ("until", Doc::Moment(voucher.not_after())),
            ];
            Ok(Doc::Said(format!("{} is vouched for, for {days} days", id.0), parts))
        }
        KeysAction::Revoke { agent, serials } => {
            let published = router.revoke_keys(agent, serials).await?;
            let count = published.log.as_ref().map_or(0, |log| log.revoked().count());
            let sentence = format!(
                "{agent} has taken back {count} certificate{} in all, and has other keys in place of them",
                if count == 1 { "" } else { "s" }
            );
            Ok(said(sentence, &published))
        }
        KeysAction::Verify(input) => verify(input),
        KeysAction::Protect => Err(Failure::usage("this needs no store")),
    }
}

/// Needs no store: only the file of the root, and that of the passphrase.
fn protect(args: &StoreArgs) -> Result<Doc, Failure> {
    let config = args.config.load()?;
    let none = || {
        Failure::usage(
            "there is no passphrase: name the file that holds it with --set key_passphrase_file=FILE",
        )
    };
    let passphrase = read_passphrase(config.key_passphrase_file.as_deref().ok_or_else(none)?)?;
    let path = config.key_path();
    keystore::protect(&path, &passphrase)?;
    let sentence = format!("the root key in {} is under the passphrase now", path.display());
    Ok(Doc::Said(sentence, vec![("key_file", Doc::text(path.display()))]))
}

async fn list(router: &Router) -> Result<Doc, Failure> {
    let mut rows = Vec::new();
    for id in router.agents_with_keys().await? {
        match router.published_keys(id).await {
            Ok(Some(published)) => rows.push(row(&published)),
            Ok(None) => rows.push(lost(id, "its time is over, or it was taken back: its node makes another")),
            Err(error) => rows.push(lost(id, &error.to_string())),
        }
    }
    let columns = &["agent", "fingerprint", "serial", "until", "one_time", "revoked", "problem", "id"];
    Ok(Doc::Table(Table { columns, shown: 7, rows, empty: "no agent has keys for its mail yet" }))
}

fn row(published: &Published) -> Vec<Doc> {
    let claims = published.bundle.certificate().claims();
    vec![
        Doc::text(&claims.name),
        Doc::Text(claims.agent.fingerprint()),
        Doc::Number(claims.serial),
        Doc::Moment(claims.not_after),
        Doc::Number(published.one_time as u64),
        Doc::Number(published.log.as_ref().map_or(0, |log| log.revoked().count()) as u64),
        Doc::Nothing,
        Doc::text(claims.agent),
    ]
}

fn lost(id: AgentId, problem: &str) -> Vec<Doc> {
    let mut row = vec![Doc::Nothing, Doc::Text(id.fingerprint())];
    row.extend([Doc::Nothing, Doc::Nothing, Doc::Nothing, Doc::Nothing]);
    row.extend([Doc::text(problem), Doc::text(id)]);
    row
}

async fn published(router: &Router, agent: &AgentName) -> Result<Published, Failure> {
    let id = router.agent_id(agent)?;
    let none = || {
        Failure::new(format!(
            "{agent} has no keys that hold in this store: nobody has sent it a durable message, or all was taken back; its id is \
             {id}, by the root key here"
        ))
    };
    router.published_keys(id).await?.ok_or_else(none)
}

fn show(published: &Published) -> Doc {
    let bundle = &published.bundle;
    let mut parts = identity(bundle.certificate().claims());
    let suites = [Suite::Classic, Suite::Hybrid].into_iter().filter(|suite| bundle.suites().lists(*suite));
    let revoked = published.log.iter().flat_map(|log| log.revoked());
    parts.extend([
        ("suites", Doc::list(suites.map(|suite| format!("{suite:?}").to_lowercase()))),
        ("bundle", Doc::Number(bundle.epoch())),
        ("one_time", Doc::Number(published.one_time as u64)),
        ("revoked", Doc::list(revoked)),
    ]);
    Doc::Record(parts)
}

fn identity(claims: &Claims) -> Vec<(&'static str, Doc)> {
    vec![
        ("agent", Doc::text(&claims.name)),
        ("id", Doc::text(claims.agent)),
        ("fingerprint", Doc::Text(claims.agent.fingerprint())),
        ("instance", Doc::text(claims.instance)),
        ("serial", Doc::Number(claims.serial)),
        ("from", Doc::Moment(claims.not_before)),
        ("until", Doc::Moment(claims.not_after)),
    ]
}

fn said(sentence: String, published: &Published) -> Doc {
    let claims = published.bundle.certificate().claims();
    let mut parts = identity(claims);
    parts.push(("bundle", Doc::Number(published.bundle.epoch())));
    Doc::Said(sentence, parts)
}

/// Needs no store, no key and no network.
fn verify(input: &CardInput) -> Result<Doc, Failure> {
    let card = read_card(&input.file)?;
    let claims = card.certificate().claims();
    let fingerprint = claims.agent.fingerprint();
    let digits = |text: &str| text.to_ascii_lowercase().split_whitespace().collect::<String>();
    if let Some(expected) = &input.fingerprint
        && digits(expected) != digits(&fingerprint)
    {
        return Err(Failure::new(format!(
            "the card holds, and is another one's: its fingerprint is {fingerprint}, not {expected}"
        )));
    }
    let mut parts = identity(claims);
    parts.push(("revoked", Doc::list(card.log().into_iter().flat_map(IdentityLog::revoked))));
    Ok(Doc::Record(parts))
}

/// A card that holds now.
///
/// # Errors
/// When the file can't be read, or is no card that holds.
pub(crate) fn read_card(file: &Path) -> Result<Card, Failure> {
    let bytes = decode::read_file(file)?;
    let line = String::from_utf8_lossy(&bytes);
    let card = Card::read(&line, store::world()?.now());
    card.map_err(|refusal| Failure::new(format!("this is no card that holds: {refusal}")))
}
