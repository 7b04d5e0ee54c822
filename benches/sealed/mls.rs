//! MLS, by openmls with RustCrypto: a group of two, with AES-128-GCM, and a signature of each message.

use bytes::Bytes;
use openmls::prelude::tls_codec::{Deserialize, Serialize};
use openmls::prelude::{
    BasicCredential, Ciphersuite, CredentialWithKey, KeyPackage, KeyPackageBundle, MlsGroup,
    MlsGroupCreateConfig, MlsGroupJoinConfig, MlsMessageBodyIn, MlsMessageIn, OpenMlsProvider,
    ProcessedMessageContent, StagedWelcome,
};
use openmls_basic_credential::SignatureKeyPair;
use openmls_rust_crypto::OpenMlsRustCrypto;

use super::{End, Pair as _, each};

const SUITE: Ciphersuite = Ciphersuite::MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519;

/// A member: what it keeps, and what it signs with.
struct Member {
    provider: OpenMlsRustCrypto,
    signer: SignatureKeyPair,
    credential: CredentialWithKey,
}

impl Member {
    fn new(name: &str) -> Self {
        let provider = OpenMlsRustCrypto::default();
        let signer = SignatureKeyPair::new(SUITE.signature_algorithm()).expect("the system has randomness");
        signer.store(provider.storage()).expect("memory takes it");
        let credential = BasicCredential::new(name.into()).into();
        let credential = CredentialWithKey { credential, signature_key: signer.public().into() };
        Self { provider, signer, credential }
    }

    fn package(&self) -> KeyPackageBundle {
        let package =
            KeyPackage::builder().build(SUITE, &self.provider, &self.signer, self.credential.clone());
        package.expect("it can be signed")
    }
}

/// A group of two.
pub(super) struct Pair {
    members: [Member; 2],
    groups: [MlsGroup; 2],
}

impl Pair {
    fn shake_hands(members: [Member; 2], package: &KeyPackageBundle) -> Self {
        let [ada, bob] = &members;
        let config =
            MlsGroupCreateConfig::builder().ciphersuite(SUITE).use_ratchet_tree_extension(true).build();
        let made = MlsGroup::new(&ada.provider, &ada.signer, &config, ada.credential.clone());
        let mut made = made.expect("memory takes it");
        let invited = made.add_members(&ada.provider, &ada.signer, &[package.key_package().clone()]);
        let (_, welcome, _) = invited.expect("the package is good");
        made.merge_pending_commit(&ada.provider).expect("it is ours");
        let welcome = welcome.tls_serialize_detached().expect("it can be written");
        let welcome = MlsMessageIn::tls_deserialize(&mut welcome.as_slice()).expect("it was just written");
        let MlsMessageBodyIn::Welcome(welcome) = welcome.extract() else { panic!("it is a welcome") };
        let join = MlsGroupJoinConfig::default();
        let staged = StagedWelcome::new_from_welcome(&bob.provider, &join, welcome, None);
        let joined = staged.expect("it is for Bob").into_group(&bob.provider).expect("memory takes it");
        Self { groups: [made, joined], members }
    }
}

impl super::Pair for Pair {
    type Message = Vec<u8>;

    fn meet() -> Self {
        let members = ["ada", "bob"].map(Member::new);
        let package = members[1].package();
        Self::shake_hands(members, &package)
    }

    fn seal(&mut self, end: End, payload: &Bytes) -> Self::Message {
        let Member { provider, signer, .. } = &self.members[end as usize];
        let sealed = self.groups[end as usize].create_message(provider, signer, payload);
        sealed.expect("it is short enough").tls_serialize_detached().expect("it can be written")
    }

    fn open(&mut self, end: End, message: Self::Message) -> usize {
        let message = MlsMessageIn::tls_deserialize(&mut message.as_slice()).expect("it was just written");
        let message = message.try_into_protocol_message().expect("it is a message of a group");
        let opened = self.groups[end as usize].process_message(&self.members[end as usize].provider, message);
        match opened.expect("it was just sealed").into_content() {
            ProcessedMessageContent::ApplicationMessage(message) => message.into_bytes().len(),
            _ => panic!("it is a member's message"),
        }
    }
}

/// The members and their packages are there before.
pub(super) fn handshakes(count: usize) -> impl FnMut() -> f64 {
    let payload = super::payload(256);
    move || {
        let ready = (0..count).map(|_| ["ada", "bob"].map(Member::new));
        let mut ready = ready.map(|members| (members[1].package(), members)).collect::<Vec<_>>().into_iter();
        each(count, || {
            let (package, members) = ready.next().expect("as many are ready");
            let mut pair = Pair::shake_hands(members, &package);
            let first = pair.seal(End::Ada, &payload);
            pair.open(End::Bob, first);
        })
    }
}
