//! Supervision: OTP's table on real supervisors, and trees of them.

mod otp;
mod trees;
