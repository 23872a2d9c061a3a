//! Times, sizes and versions as people read them.

use jiff::{SignedDuration, Timestamp};

/// How long it has been, as PM2 says it: `42s` up to two minutes, then `3m`, `5h`, `12D`.
pub(crate) fn age(since: Timestamp, now: Timestamp) -> String {
    let seconds = now.duration_since(since).as_secs().max(0);
    match seconds {
        ..120 => format!("{seconds}s"),
        120..7_200 => format!("{}m", seconds / 60),
        7_200..172_800 => format!("{}h", seconds / 3_600),
        _ => format!("{}D", seconds / 86_400),
    }
}

/// The same of a time as the API writes it; `-` where there is none.
pub(crate) fn age_of(since: Option<&str>, now: Timestamp) -> String {
    since.and_then(|text| text.parse().ok()).map_or_else(|| "-".to_owned(), |since| age(since, now))
}

/// Bytes in binary units, one decimal: `52.7Mi`.
pub(crate) fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["Ki", "Mi", "Gi", "Ti"];
    if bytes < 1024 {
        return format!("{bytes}");
    }
    let mut tenths = u128::from(bytes) * 10 / 1024;
    let mut unit = 0;
    while tenths >= 10_240 && unit + 1 < UNITS.len() {
        tenths /= 1024;
        unit += 1;
    }
    format!("{}.{}{}", tenths / 10, tenths % 10, UNITS[unit])
}

/// Billionths of a CPU as percents of one: `12.3%`.
pub(crate) fn cpu(nanos: u64) -> String {
    let tenths = nanos / 1_000_000;
    format!("{}.{}%", tenths / 10, tenths % 10)
}

/// A quantity of Kubernetes in billionths, such as `250m` or `52Mi`. None for what is no quantity.
pub(crate) fn nanos(quantity: &str) -> Option<u128> {
    const BILLION: u128 = 1_000_000_000;
    let digits =
        quantity.len() - quantity.trim_start_matches(|it: char| it.is_ascii_digit() || it == '.').len();
    let (number, unit) = quantity.split_at(digits);
    let factor = match unit {
        "n" => 1,
        "u" => 1_000,
        "m" => 1_000_000,
        "" => BILLION,
        "k" => BILLION * 1_000,
        "M" => BILLION * 1_000_000,
        "G" => BILLION * BILLION,
        "Ki" => BILLION << 10,
        "Mi" => BILLION << 20,
        "Gi" => BILLION << 30,
        "Ti" => BILLION << 40,
        _ => return None,
    };
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    let scale = u128::from(10_u64.checked_pow(u32::try_from(part.len()).ok()?)?);
    let fraction = if part.is_empty() { 0 } else { part.parse::<u128>().ok()? * factor / scale };
    Some(whole.parse::<u128>().ok()? * factor + fraction)
}

/// What an image says of its version: its tag, or the begin of its digest.
pub(crate) fn version(image: &str) -> String {
    let (name, digest) = image.split_once('@').map_or((image, None), |(name, digest)| (name, Some(digest)));
    let tag = name.rsplit('/').next().and_then(|last| last.split_once(':')).map(|(_, tag)| tag.to_owned());
    let short = |digest: &str| digest.chars().take("sha256:".len() + 12).collect();
    tag.or_else(|| digest.map(short)).unwrap_or_else(|| "latest".to_owned())
}

/// A time span as kubectl takes it: `90s`, `5m`, `1h30m`.
///
/// # Errors
/// When it is none, or below zero.
pub(crate) fn span(text: &str) -> Result<std::time::Duration, String> {
    let span: Option<SignedDuration> = text.parse().ok();
    let span = span.and_then(|span| std::time::Duration::try_from(span).ok());
    span.ok_or_else(|| format!("`{text}` is no time span; write it with its unit, such as 90s, 5m or 1h"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_those_of_pm2() {
        let now: Timestamp = "2026-01-10T00:00:00Z".parse().expect("a time");
        for (seconds, words) in
            [(-5, "0s"), (119, "119s"), (120, "2m"), (7_199, "119m"), (7_200, "2h"), (172_800, "2D")]
        {
            assert_eq!(age(now - SignedDuration::from_secs(seconds), now), words);
        }
        assert_eq!(age_of(None, now), "-");
    }

    #[test]
    fn sizes_and_shares_have_one_decimal() {
        for (size, words) in [(0, "0"), (1024, "1.0Ki"), (55_259_136, "52.6Mi"), (3 << 30, "3.0Gi")] {
            assert_eq!(bytes(size), words);
        }
        assert_eq!(
            (cpu(0).as_str(), cpu(123_456_789).as_str(), cpu(1_500_000_000).as_str()),
            ("0.0%", "12.3%", "150.0%")
        );
    }

    #[test]
    fn quantities_are_read_as_kubernetes_writes_them() {
        for (quantity, value) in
            [("12n", 12), ("250m", 250_000_000), ("1.5", 1_500_000_000), ("2Ki", 2_048_000_000_000)]
        {
            assert_eq!(nanos(quantity), Some(value), "{quantity}");
        }
        for bad in ["", "x", "1e3", "1.2.3", "5Q"] {
            assert_eq!(nanos(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_version_is_the_tag_or_the_digest() {
        for (image, version_) in [
            ("registry.example:5000/acme/shop:1.4.2", "1.4.2"),
            ("registry.example:5000/acme/shop", "latest"),
            ("shop@sha256:0123456789abcdef0123", "sha256:0123456789ab"),
            ("shop:2@sha256:0123456789abcdef0123", "2"),
        ] {
            assert_eq!(version(image), version_, "{image}");
        }
    }

    #[test]
    fn a_span_needs_its_unit() {
        assert_eq!(span("1m30s").expect("a span").as_secs(), 90);
        for bad in ["30", "soon", "-5s"] {
            assert!(span(bad).is_err(), "{bad}");
        }
    }
}
