//! Numbers made readable.

use std::time::Duration;

/// The value at a share from 0 to 1 of a set of samples; 0 for none.
pub(crate) fn quantile(samples: &[f64], share: f64) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
    let at = (sorted.len().saturating_sub(1) as f64 * share).round() as usize;
    sorted.get(at).copied().unwrap_or_default()
}

/// The middle one, or between the middle two.
pub(crate) fn median(samples: &[f64]) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = |index: usize| sorted.get(index).copied().unwrap_or_default();
    f64::midpoint(at(sorted.len().saturating_sub(1) / 2), at(sorted.len() / 2))
}

/// `1.94 MB`, in units of a million.
pub(crate) fn megabytes(bytes: f64) -> String {
    let megabytes = bytes / 1e6;
    if megabytes < 10.0 { format!("{megabytes:.2} MB") } else { format!("{megabytes:.1} MB") }
}

/// `1.25 s`, `38 ms`, `0.42 ms`.
pub(crate) fn time(seconds: f64) -> String {
    match seconds.abs() * 1e3 {
        ms if ms >= 1_000.0 => format!("{seconds:.2} s"),
        ms if ms >= 10.0 => format!("{:.0} ms", seconds * 1e3),
        _ => format!("{:.2} ms", seconds * 1e3),
    }
}

/// `0.05×`; a dash where nothing can be divided by.
pub(crate) fn ratio(ours: f64, theirs: f64) -> String {
    match ours / theirs {
        ratio if !ratio.is_finite() => "–".into(),
        ratio if ratio < 0.1 => format!("{ratio:.3}×"),
        ratio => format!("{ratio:.2}×"),
    }
}

/// `808,220`.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number of things as a number to reckon with.
#[allow(clippy::cast_precision_loss, reason = "counts and sizes of a bench are far below 2^53")]
pub(crate) fn float(number: u64) -> f64 {
    number as f64
}

/// Seconds of several durations.
pub(crate) fn seconds(durations: &[Duration]) -> Vec<f64> {
    durations.iter().map(Duration::as_secs_f64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bits<const N: usize>(values: [f64; N]) -> [u64; N] {
        values.map(f64::to_bits)
    }

    #[test]
    fn quantiles_are_samples() {
        let samples = [5.0, 1.0, 3.0, 2.0, 4.0];
        assert_eq!(bits([0.0, 0.5, 1.0].map(|share| quantile(&samples, share))), bits([1.0, 3.0, 5.0]));
        let middles = [median(&[1.0, 4.0, 2.0, 3.0]), median(&[7.0]), median(&[])];
        assert_eq!(bits(middles), bits([2.5, 7.0, 0.0]));
    }

    #[test]
    fn numbers_read_well() {
        assert_eq!([count(41), count(808_220), count(1_000)], ["41", "808,220", "1,000"]);
        assert_eq!([time(28.0), time(0.0384), time(0.000_42)], ["28.00 s", "38 ms", "0.42 ms"]);
        assert_eq!([megabytes(1_943_000.0), megabytes(61e6)], ["1.94 MB", "61.0 MB"]);
        assert_eq!([ratio(1.0, 4.0), ratio(1.0, 20.0), ratio(1.0, 0.0)], ["0.25×", "0.050×", "–"]);
    }
}
