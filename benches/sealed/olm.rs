//! Olm, by vodozemac: the double ratchet of Matrix, with AES-256-CBC and HMAC-SHA256, which agrees on a key at each change
//! of direction. It signs nothing and verifies no keys.

use bytes::Bytes;
use vodozemac::olm::{Account, OlmMessage, Session, SessionConfig};

use super::{End, each};

/// Two sessions that have heard of each other.
pub(super) struct Pair([Session; 2]);

impl Pair {
    /// From Bob's one-time key to Ada's first message, read.
    fn shake_hands(ada: &Account, bob: &mut Account, payload: &[u8]) -> Self {
        let one_time = *bob.one_time_keys().values().next().expect("there is one left");
        let config = SessionConfig::version_1();
        let begun = ada.create_outbound_session(config, bob.curve25519_key(), one_time);
        let mut outbound = begun.expect("the keys are good");
        let OlmMessage::PreKey(first) = outbound.encrypt(payload).expect("it is short enough") else {
            panic!("the first message of a session carries its keys")
        };
        let taken = bob.create_inbound_session(config, ada.curve25519_key(), &first);
        Self([outbound, taken.expect("it was just sealed").session])
    }
}

impl super::Pair for Pair {
    type Message = OlmMessage;

    fn meet() -> Self {
        let (ada, mut bob) = (Account::new(), Account::new());
        bob.generate_one_time_keys(1);
        let mut pair = Self::shake_hands(&ada, &mut bob, b"hello");
        let back = pair.seal(End::Bob, &Bytes::from_static(b"hello, Ada"));
        pair.open(End::Ada, back);
        pair
    }

    fn seal(&mut self, end: End, payload: &Bytes) -> Self::Message {
        self.0[end as usize].encrypt(payload).expect("it is short enough")
    }

    fn open(&mut self, end: End, message: Self::Message) -> usize {
        self.0[end as usize].decrypt(&message).expect("it was just sealed").len()
    }
}

/// The accounts and their one-time keys are there before.
pub(super) fn handshakes(count: usize) -> impl FnMut() -> f64 {
    let (ada, mut bob, payload) = (Account::new(), Account::new(), super::payload(256));
    move || {
        bob.generate_one_time_keys(count);
        each(count, || drop(Pair::shake_hands(&ada, &mut bob, &payload)))
    }
}
