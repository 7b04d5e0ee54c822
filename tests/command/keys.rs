//! `connectome keys` and `connectome message`: who agents are, keys taken back, and what a signature proves.

use connectome::prelude::*;
use connectome::{Bytes, DEAD_LETTERS, Node, port::Start};

use super::furnished::{Clerk, Note, configured, directory, in_a_runtime};
use super::support::{column, file, run, run_with};

/// Agents with mail are listed with what two people compare, and a card says the same to somebody without the store.
#[test]
fn agents_are_listed_and_compared() {
    let data = directory();
    let path = data.path().to_str().unwrap();
    let keys = run(&["keys", "ls", "--store", path, "--json"]).json();
    let mut agents: Vec<_> = column(&keys, "agent").into_iter().map(|name| name.as_str().unwrap()).collect();
    agents.sort_unstable();
    assert_eq!(agents, ["clerk", "nobody-yet"]);
    let shown = run(&["keys", "show", "clerk", "--store", path, "--json"]).json();
    let fingerprint = shown["fingerprint"].as_str().unwrap();
    assert!(run(&["keys", "ls", "--store", path]).good().contains(fingerprint));

    let card = run(&["keys", "export", "clerk", "--store", path]).good();
    let read = file(data.path(), "clerk.id", card.as_bytes());
    let verified = run(&["keys", "verify", &read, "--fingerprint", fingerprint, "--json"]).json();
    for part in ["agent", "id", "fingerprint", "instance", "serial"] {
        assert_eq!(verified[part], shown[part], "{part}");
    }
    let shouted = fingerprint.replace(' ', "").to_uppercase();
    run_with(&["keys", "verify", "--fingerprint", &shouted], card.as_bytes()).good();
    let other = run(&["keys", "verify", &read, "--fingerprint", "0000 0000"]).bad(1);
    assert!(other.contains("another one's") && other.contains(fingerprint), "{other}");
    let changed = run_with(&["keys", "verify"], card.replace('2', "3").as_bytes()).bad(1);
    assert!(changed.contains("no card that holds"), "{changed}");
    let missing = run(&["keys", "show", "nobody", "--store", path]).bad(1);
    assert!(missing.contains("nobody has no keys") && missing.contains("did:key:"), "{missing}");
}

/// New prekeys change nothing for anybody: what waits is read.
#[test]
fn rotated_keys_open_what_waits() {
    let data = directory();
    let path = data.path().to_str().unwrap();
    let bundle = || run(&["keys", "show", "nobody-yet", "--store", path, "--json"]).json();
    let before = bundle();
    let said = run(&["keys", "rotate", "nobody-yet", "--store", path]).good();
    assert!(said.contains("new prekeys"), "{said}");
    let after = bundle();
    assert!(after["bundle"].as_u64() > before["bundle"].as_u64());
    assert_eq!(after["instance"], before["instance"]);
    in_a_runtime(async {
        let node = Node::start(configured(data.path())).await.unwrap();
        let sleeper = node.spawn("nobody-yet", Clerk::sturdy).await.unwrap();
        while sleeper.call(super::furnished::Heard).await.unwrap() != ["are you there?"] {
            tokio::task::yield_now().await;
        }
        node.stop().await;
    });
}

/// After keys were taken back the agent has others; what was sealed to the old ones is a dead letter, what is sent from then on
/// is read, and the card says what was taken back.
#[test]
fn revoked_keys_are_used_no_more() {
    let data = directory();
    let path = data.path().to_str().unwrap();
    let show = || run(&["keys", "show", "nobody-yet", "--store", path, "--json"]).json();
    let before = show();
    let said = run(&["keys", "revoke", "nobody-yet", "--store", path]).good();
    assert!(said.contains("1 certificate ") && said.contains("other keys"), "{said}");
    let after = show();
    assert_eq!(after["id"], before["id"]);
    assert_ne!(after["instance"], before["instance"]);
    assert_eq!(after["revoked"][0].as_str().unwrap(), before["serial"].as_u64().unwrap().to_string());
    let card = run(&["keys", "export", "nobody-yet", "--store", path]).good();
    assert_eq!(run_with(&["keys", "verify", "--json"], card.as_bytes()).json()["revoked"], after["revoked"]);

    in_a_runtime(async {
        let node = Node::start(configured(data.path())).await.unwrap();
        let mut letters = node.ports().streams.tail(DEAD_LETTERS, ">", Start::New).await.unwrap();
        let sleeper = node.spawn("nobody-yet", Clerk::sturdy).await.unwrap();
        sleeper.send(Note("and now?".into())).await.unwrap();
        letters.next().await.unwrap();
        while sleeper.call(super::furnished::Heard).await.unwrap() != ["and now?"] {
            tokio::task::yield_now().await;
        }
        node.stop().await;
    });
}

#[derive(Message, Serialize, Deserialize)]
#[message(name = "swear", reply = ())]
struct Swear(String);

#[derive(Message, Serialize, Deserialize)]
#[message(name = "sworn", reply = Option<Bytes>)]
struct Sworn;

/// Keeps what proves the last oath.
#[derive(Default)]
struct Notary(Option<Bytes>);

impl Agent for Notary {
    fn handles(table: &mut Table<Self>) {
        table.on::<Swear>();
        table.on::<Sworn>();
    }
}

impl Handle<Swear> for Notary {
    async fn handle(&mut self, _: Swear, ctx: &mut Context<'_>) -> Result<(), HandlerError> {
        self.0 = ctx.evidence().map(|evidence| evidence.encode().into());
        Ok(())
    }
}

impl Handle<Sworn> for Notary {
    async fn handle(&mut self, _: Sworn, _: &mut Context<'_>) -> Result<Option<Bytes>, HandlerError> {
        Ok(self.0.clone())
    }
}

/// What an agent has exported proves, without store and key, who said it and what; what was changed proves nothing.
#[test]
fn evidence_is_checked_offline() {
    let data = tempfile::tempdir().unwrap();
    let mut evidence = None;
    in_a_runtime(async {
        let node = Node::start(configured(data.path())).await.unwrap();
        let notary = node.spawn("notary", Notary::default).await.unwrap();
        notary.send(Swear("it was the clerk".into())).await.unwrap();
        while evidence.is_none() {
            evidence = notary.call(Sworn).await.unwrap();
        }
        node.stop().await;
    });
    let evidence = evidence.unwrap();
    let read = file(data.path(), "oath", &evidence);
    let proved = run(&["message", "verify", &read, "--json"]).json();
    assert!(proved["said_by"].as_str().unwrap().starts_with("did:key:"));
    assert_eq!(proved["message"]["body"], "it was the clerk");
    assert_eq!(proved["message"]["name"], "swear");
    let mut changed = evidence.to_vec();
    let at = changed.windows(5).position(|part| part == b"clerk").unwrap();
    changed[at] ^= 1;
    let refused = run(&["message", "verify", &file(data.path(), "lie", &changed)]).bad(1);
    assert!(refused.contains("proves nothing"), "{refused}");
}

/// A root that is put under a passphrase opens the same store, with the passphrase and not without.
#[test]
fn a_root_is_protected() {
    let data = directory();
    let path = data.path().to_str().unwrap();
    let secret = file(data.path(), "passphrase", b"correct horse battery staple");
    std::fs::set_permissions(&secret, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let (dir, named) = (format!("data_dir={path}"), format!("key_passphrase_file={secret}"));
    let missing = run(&["keys", "protect", "--set", &dir]).bad(2);
    assert!(missing.contains("there is no passphrase"), "{missing}");
    let shown = || run(&["dead", "show", "1", "--json", "--set", &dir, "--set", &named]).json();
    assert_ne!(
        shown()["letter"]["envelope"]["body"],
        "poison",
        "a root in the open is not used with a passphrase"
    );
    let said = run(&["keys", "protect", "--set", &dir, "--set", &named]).good();
    assert!(said.contains("is under the passphrase now"), "{said}");
    assert_eq!(shown()["letter"]["envelope"]["body"], "poison");
    let without = run(&["keys", "ls", "--set", &dir]).bad(1);
    assert!(
        without.contains("is under a passphrase") && without.contains("key_passphrase_file"),
        "{without}"
    );
}

/// An owner vouches for others under an id of its own, for so long, and takes that back.
#[test]
fn an_owner_vouches_for_others() {
    let data = directory();
    let path = data.path().to_str().unwrap();
    let organisation = run(&["keys", "organisation", "--store", path, "--json"]).json();
    let id = connectome::codecs::AgentId([7; 32]).to_string();
    let said = run(&["keys", "vouch", &id, "--days", "2", "--store", path, "--json"]).json();
    assert_eq!(
        (said["organisation"].clone(), said["id"].as_str()),
        (organisation["organisation"].clone(), Some(&*id))
    );
    let shown = run(&["keys", "vouch", &id, "--store", path]).good();
    assert!(shown.contains("is vouched for, for 90 days"), "{shown}");
    let withdrawn = run(&["keys", "vouch", &id, "--withdraw", "--store", path]).good();
    assert!(withdrawn.contains("not vouched for any more"), "{withdrawn}");
    let wrong = run(&["keys", "vouch", "ada", "--store", path]).bad(2);
    assert!(wrong.contains("ada"), "{wrong}");
}
