//! Turns, medians and tables: what every group of measurements shares.

mod group;
mod options;
mod report;
mod samples;

pub(crate) use group::{Group, Unit};
pub(crate) use options::Options;
pub(crate) use report::Report;
pub(crate) use samples::percentile;
