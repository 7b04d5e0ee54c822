//! Noise, by snow: one key for each direction, which never moves on, and messages that must come in order.

use bytes::Bytes;
use snow::{Builder, HandshakeState, Keypair, TransportState};

use super::{End, Pair as _, each};

const PATTERN: &str = "Noise_XX_25519_AESGCM_SHA256";

/// The longest message of Noise.
const LONGEST: usize = 65_535;

/// Two whose handshake is over.
pub(super) struct Pair {
    ends: [TransportState; 2],
    buffer: Vec<u8>,
}

impl Pair {
    fn shake_hands(keys: &[Keypair; 2]) -> Self {
        let mut ends = [begin(&keys[0], true), begin(&keys[1], false)];
        let mut buffer = vec![0; LONGEST];
        for from in [0, 1, 0] {
            let length = ends[from].write_message(&[], &mut buffer).expect("it is its turn");
            let message = buffer[..length].to_vec();
            ends[1 - from].read_message(&message, &mut buffer).expect("it is whole");
        }
        Self { ends: ends.map(|end| end.into_transport_mode().expect("the handshake is over")), buffer }
    }
}

impl super::Pair for Pair {
    type Message = Vec<u8>;

    fn meet() -> Self {
        Self::shake_hands(&keys())
    }

    fn seal(&mut self, end: End, payload: &Bytes) -> Self::Message {
        let end = &mut self.ends[end as usize];
        let length = end.write_message(payload, &mut self.buffer).expect("it is short enough");
        self.buffer[..length].to_vec()
    }

    fn open(&mut self, end: End, message: Self::Message) -> usize {
        let end = &mut self.ends[end as usize];
        let length = end.read_message(&message, &mut self.buffer).expect("it was just sealed");
        self.buffer[..length].to_vec().len()
    }
}

/// Both handshakes and a first message; the long-lived keys are there before.
pub(super) fn handshakes(count: usize) -> impl FnMut() -> f64 {
    let (keys, payload) = (keys(), super::payload(256));
    move || {
        each(count, || {
            let mut pair = Pair::shake_hands(&keys);
            let first = pair.seal(End::Ada, &payload);
            pair.open(End::Bob, first);
        })
    }
}

fn builder() -> Builder<'static> {
    Builder::new(PATTERN.parse().expect("a pattern of Noise"))
}

fn keys() -> [Keypair; 2] {
    [(); 2].map(|()| builder().generate_keypair().expect("the system has randomness"))
}

fn begin(keys: &Keypair, is_initiator: bool) -> HandshakeState {
    let builder = builder().local_private_key(&keys.private).expect("one key");
    let state = if is_initiator { builder.build_initiator() } else { builder.build_responder() };
    state.expect("it has all that the pattern asks for")
}
