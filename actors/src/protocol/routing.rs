pub struct Candidate { pub local: bool, pub suspected: bool, pub in_flight: u64, pub latency: std::time::Duration }
pub fn pick(c: &[Candidate], dice: u64) -> Option<usize> { if c.is_empty() { None } else { Some(dice as usize % c.len()) } }
