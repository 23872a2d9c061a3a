//! The longest request, read out of the runner's metrics.

use super::facts::Longest;

const BUCKET: &str = "nodeapp_http_request_duration_seconds_bucket";

/// Between which bounds the longest request lies; none if there was none.
pub(super) fn longest(metrics: &str) -> Option<Longest> {
    let mut buckets: Vec<(f64, f64)> = metrics.lines().filter_map(bucket).collect();
    buckets.sort_by(|one, other| one.0.total_cmp(&other.0));
    let all = buckets.last().map(|(_, count)| *count).filter(|count| *count > 0.0)?;
    let at = buckets.iter().position(|(_, count)| *count >= all)?;
    let above = at.checked_sub(1).map_or(0.0, |before| buckets[before].0);
    Some(Longest { above, below: Some(buckets[at].0).filter(|bound| bound.is_finite()) })
}

/// Upper bound and number of requests up to it.
fn bucket(line: &str) -> Option<(f64, f64)> {
    let labels = line.strip_prefix(BUCKET)?;
    let bound = labels.split_once("le=\"")?.1.split('"').next()?;
    let bound = if bound == "+Inf" { f64::INFINITY } else { bound.parse().ok()? };
    let count = line.rsplit(' ').next()?.parse().ok()?;
    Some((bound, count))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metrics(counts: &[(&str, u64)]) -> String {
        let line = |(bound, count): &(&str, u64)| {
            format!("{BUCKET}{{name=\"shop\",instance=\"0\",le=\"{bound}\"}} {count}\n")
        };
        format!("# TYPE x histogram\n{}pm2_process_status 1\n", counts.iter().map(line).collect::<String>())
    }

    #[test]
    fn the_longest_request_lies_in_the_last_bucket_that_grows() {
        let text = metrics(&[("0.005", 3), ("0.25", 9), ("10", 9), ("+Inf", 9)]);
        assert_eq!(longest(&text), Some(Longest { above: 0.005, below: Some(0.25) }));
        let text = metrics(&[("0.005", 3), ("10", 9), ("+Inf", 10)]);
        assert_eq!(longest(&text), Some(Longest { above: 10.0, below: None }));
        let text = metrics(&[("0.005", 3), ("+Inf", 3)]);
        assert_eq!(longest(&text), Some(Longest { above: 0.0, below: Some(0.005) }));
    }

    #[test]
    fn no_request_has_no_length() {
        assert_eq!(longest(&metrics(&[("0.005", 0), ("+Inf", 0)])), None);
        assert_eq!(longest("pm2_process_status 1\n"), None);
    }
}
