//! What the turns of one way came to.

/// What the turns of one way came to: nanoseconds, or bytes, for one operation.
#[derive(Default)]
pub(crate) struct Samples(Vec<f64>);

impl Samples {
    pub(crate) fn add(&mut self, sample: f64) {
        self.0.push(sample);
        self.0.sort_by(f64::total_cmp);
    }

    pub(crate) fn median(&self) -> f64 {
        percentile(&self.0, 50)
    }

    pub(crate) fn min(&self) -> f64 {
        percentile(&self.0, 0)
    }

    pub(crate) fn max(&self) -> f64 {
        percentile(&self.0, 100)
    }
}

/// The value that `percent` of a sorted slice do not exceed; not a number where there is nothing.
pub(crate) fn percentile(sorted: &[f64], percent: usize) -> f64 {
    let last = sorted.len().saturating_sub(1);
    sorted.get(last * percent / 100).copied().unwrap_or(f64::NAN)
}
