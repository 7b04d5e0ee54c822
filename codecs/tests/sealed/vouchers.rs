//! Whom one talks to: those that are listed, those that somebody who is listed vouches for while that holds, and nobody else.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use connectome_codecs::identity::{Accept, Acceptance, Voucher};
use connectome_codecs::{AgentId, Refusal, UnixMillis};
use proptest::prelude::*;

use crate::sealed::cast::{NOW, agent_id, agent_key, bits, flip};

const HOUR: Duration = Duration::from_secs(3600);

fn voucher() -> Voucher {
    Voucher::issue(&agent_key(1), agent_id(&agent_key(2)), NOW, HOUR)
}

/// A voucher with a changed bit, a missing or a further byte is refused, wherever it is.
#[test]
fn a_voucher_is_taken_as_it_was_signed_or_not_at_all() {
    let bytes = voucher().bytes().clone();
    assert_eq!(Voucher::verify(bytes.clone()).unwrap(), voucher());
    for bit in bits(&bytes) {
        assert!(Voucher::verify(flip(&bytes, bit)).is_err(), "bit {bit}");
    }
    for length in 0..bytes.len() {
        assert!(Voucher::verify(bytes.slice(..length)).is_err(), "{length} bytes");
    }
    assert!(Voucher::verify(Bytes::from([&bytes[..], &[0]].concat())).is_err());
}

/// It holds from its beginning, give or take the clocks, to its end.
#[test]
fn a_voucher_has_its_time() {
    let early = UnixMillis(NOW.0 - 5 * 60 * 1000);
    assert_eq!(voucher().check_dates(early), Ok(()));
    assert!(matches!(voucher().check_dates(UnixMillis(early.0 - 1)), Err(Refusal::ClockSkew { .. })));
    assert_eq!(voucher().check_dates(UnixMillis(NOW.after(HOUR).0 - 1)), Ok(()));
    assert_eq!(voucher().check_dates(NOW.after(HOUR)), Err(Refusal::CertificateExpired));
}

/// What happens to what is known.
#[derive(Debug, Clone)]
enum Step {
    /// An organisation vouches for an agent, for so many hours from now on.
    Vouch { organisation: u64, agent: u64, hours: u32 },
    /// It takes that back.
    Withdraw { organisation: u64, agent: u64 },
    /// Time passes.
    Wait { hours: u32 },
}

/// Agents 10 to 13, of which 10 is listed; organisations 1 to 4, of which 1 and 2 are.
fn step() -> impl Strategy<Value = Step> {
    let (organisation, agent) = (1..5_u64, 10..14_u64);
    prop_oneof![
        (organisation.clone(), agent.clone(), 0..6_u32)
            .prop_map(|(organisation, agent, hours)| Step::Vouch { organisation, agent, hours }),
        (organisation, agent).prop_map(|(organisation, agent)| Step::Withdraw { organisation, agent }),
        (0..4_u32).prop_map(|hours| Step::Wait { hours }),
    ]
}

fn id(seed: u64) -> AgentId {
    agent_id(&agent_key(seed))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Whatever was said in whatever order: an agent is accepted exactly while it is listed, or what an organisation that is
    /// listed said of it last holds.
    #[test]
    fn accepted_is_who_is_listed_or_vouched_for(steps in prop::collection::vec(step(), 1..40)) {
        let accept = Accept::Listed { agents: [id(10)].into(), organisations: [id(1), id(2)].into() };
        let (mut acceptance, mut anybody) = (Acceptance::new(accept), Acceptance::default());
        let (mut now, mut until) = (NOW, BTreeMap::new());
        for step in steps {
            match step {
                Step::Vouch { organisation, agent, hours } => {
                    let voucher = Voucher::issue(&agent_key(organisation), id(agent), now, HOUR * hours);
                    let voucher = Voucher::verify(voucher.bytes().clone()).unwrap();
                    let counts = organisation <= 2;
                    let learned = acceptance.learn(voucher.clone(), now);
                    prop_assert_eq!(learned.is_err(), counts && hours == 0);
                    prop_assert_eq!(anybody.learn(voucher, now), Ok(false));
                    if let Ok(true) = learned {
                        until.insert((agent, organisation), now.after(HOUR * hours));
                    }
                }
                Step::Withdraw { organisation, agent } => {
                    acceptance.forget(id(agent), id(organisation));
                    until.remove(&(agent, organisation));
                }
                Step::Wait { hours } => now = now.after(HOUR * hours),
            }
            for agent in 10..14 {
                let vouched = until.iter().any(|((whom, _), until)| *whom == agent && *until > now);
                let expected = if agent == 10 || vouched { Ok(()) } else { Err(Refusal::NotAccepted) };
                prop_assert_eq!(acceptance.check(id(agent), now), expected);
                prop_assert_eq!(anybody.check(id(agent), now), Ok(()));
            }
        }
    }
}
