//! The images of a release in the chart: repository and digest in place of those of the source.

use anyhow::{Result, ensure};

pub(super) const VALUES: &str = "charts/nodeapp-operator/values.yaml";
pub(super) const CHART: &str = "charts/nodeapp-operator/Chart.yaml";
/// What the source calls the registry.
const OURS: &str = "nodeapp";

#[derive(clap::Args)]
pub(crate) struct Images {
    /// Registry and folder, such as ghcr.io/acme
    #[arg(long)]
    registry: String,
    /// Digest of nodeapp-operator
    #[arg(long)]
    operator: String,
    /// Digest of nodeapp-runner
    #[arg(long)]
    runner: String,
    /// Digest of nodeapp-forwarder
    #[arg(long)]
    forwarder: String,
}

/// A file of the chart with these images.
pub(super) fn with_images(text: &str, images: &Images) -> Result<String> {
    let digests = [
        ("nodeapp-operator", &images.operator),
        ("nodeapp-runner", &images.runner),
        ("nodeapp-forwarder", &images.forwarder),
    ];
    for (name, digest) in digests {
        ensure!(is_digest(digest), "{digest:?} is no digest of {name}: sha256: and 64 hexadecimal digits");
    }
    let mut waiting = None;
    let mut lines = Vec::new();
    for line in text.lines() {
        let mut line = line.to_owned();
        for (name, digest) in digests {
            ensure!(
                is_digest(digest),
                "{digest:?} is no digest of {name}: sha256: and 64 hexadecimal digits"
            );
            if line.trim() == format!("repository: {OURS}/{name}") {
                waiting = Some(digest);
            }
            line = line.replace(&format!("{OURS}/{name}"), &format!("{}/{name}", images.registry));
        }
        if let (Some(digest), "digest: \"\"") = (waiting, line.trim()) {
            line = line.replace("\"\"", digest);
            waiting = None;
        }
        lines.push(line);
    }
    ensure!(waiting.is_none(), "an image has no line `digest: \"\"`");
    Ok(lines.join("\n") + "\n")
}

fn is_digest(text: &str) -> bool {
    let hex = text.strip_prefix("sha256:").unwrap_or_default();
    hex.len() == 64 && hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::super::read;
    use super::*;

    fn images() -> Images {
        let digest = |digit: &str| format!("sha256:{}", digit.repeat(64));
        Images {
            registry: "ghcr.io/acme".into(),
            operator: digest("1"),
            runner: digest("2"),
            forwarder: digest("3"),
        }
    }

    #[test]
    fn each_image_gets_its_own_digest_and_redis_keeps_what_it_had() {
        let source = read(VALUES).expect("there");
        let values: Value =
            serde_saphyr::from_str(&with_images(&source, &images()).expect("complete")).expect("YAML");
        let image = |path: &str, name: &str, digit: &str| {
            let image = values.pointer(path).expect(path);
            assert_eq!(image["repository"], format!("ghcr.io/acme/{name}"));
            assert_eq!(image["digest"], format!("sha256:{}", digit.repeat(64)));
        };
        image("/image", "nodeapp-operator", "1");
        image("/runner/image", "nodeapp-runner", "2");
        image("/forwarder/image", "nodeapp-forwarder", "3");
        assert_eq!(values["redis"]["image"]["digest"], "");
    }

    #[test]
    fn what_is_no_digest_is_refused() {
        let wrong = Images { runner: "latest".into(), ..images() };
        let error = with_images("", &wrong).expect_err("no digest").to_string();
        assert!(error.contains("latest") && error.contains("nodeapp-runner"), "{error}");
    }
}
