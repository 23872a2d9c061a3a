//! krew's manifest of the plugin: `.krew.yaml` with the version, repository and hashes of a release.

use std::path::Path;

use anyhow::{Context, Result, ensure};

use crate::hash;

/// The manifest in the repository, which is a template too.
pub(super) const FILE: &str = ".krew.yaml";
/// What stands there for a hash that nobody knows yet.
const UNKNOWN: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// The manifest of a version whose archives lie in this folder.
pub(super) fn manifest(template: &str, version: &str, repository: &str, archives: &Path) -> Result<String> {
    let mut result = String::new();
    let mut archive = None;
    // The comment is about the template.
    for line in template.lines().skip_while(|line| line.starts_with('#')) {
        let mut line = line.replace("REPOSITORY", repository);
        if line.starts_with("  version: ") {
            line = format!("  version: v{version}");
        } else if let Some((place, name)) = line.rsplit_once('/').filter(|_| line.contains(" uri: ")) {
            let (releases, _) = place.rsplit_once('/').context("the address names no version")?;
            let name = name.to_owned();
            line = format!("{releases}/v{version}/{name}");
            archive = Some(name);
        } else if line.contains(UNKNOWN) {
            let name = archive.take().context("a sha256 stands behind the uri that it is of")?;
            let file = archives.join(&name);
            let bytes = std::fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
            line = line.replace(UNKNOWN, hash::digest(&bytes).trim_start_matches("sha256:"));
        }
        result.push_str(&line);
        result.push('\n');
    }
    ensure!(!result.contains(UNKNOWN) && archive.is_none(), "a platform has no hash");
    Ok(result)
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn template() -> String {
        super::super::read(FILE).expect("there")
    }

    #[test]
    fn a_release_has_its_version_its_addresses_and_the_hash_of_each_archive() {
        let folder = tempfile::tempdir().expect("folder");
        for platform in ["linux-amd64", "linux-arm64", "darwin-amd64", "darwin-arm64"] {
            let file = folder.path().join(format!("kubectl-nodeapp-{platform}.tar.gz"));
            std::fs::write(file, platform).expect("written");
        }
        let text = manifest(&template(), "1.2.3", "acme/nodeapp", folder.path()).expect("complete");
        let plugin: Value = serde_saphyr::from_str(&text).expect("YAML");
        assert_eq!(plugin["spec"]["version"], "v1.2.3");
        assert_eq!(plugin["spec"]["homepage"], "https://github.com/acme/nodeapp");
        let platform = &plugin["spec"]["platforms"][1];
        assert_eq!(
            platform["uri"],
            "https://github.com/acme/nodeapp/releases/download/v1.2.3/kubectl-nodeapp-linux-arm64.tar.gz"
        );
        assert_eq!(platform["sha256"], hash::digest(b"linux-arm64").trim_start_matches("sha256:"));
    }

    #[test]
    fn a_release_without_one_of_its_archives_is_none() {
        let folder = tempfile::tempdir().expect("folder");
        let error = manifest(&template(), "1.2.3", "a/b", folder.path()).expect_err("nothing is there");
        assert!(error.to_string().contains("kubectl-nodeapp-linux-amd64.tar.gz"), "{error}");
    }

    /// What krew's own validation asks for.
    #[test]
    fn the_template_is_a_manifest_that_krew_takes() {
        let plugin: Value = serde_saphyr::from_str(&template()).expect("YAML");
        assert_eq!(plugin["apiVersion"], "krew.googlecontainertools.github.com/v1alpha2");
        assert_eq!((&plugin["kind"], &plugin["metadata"]["name"]), (&"Plugin".into(), &"nodeapp".into()));
        let short = plugin["spec"]["shortDescription"].as_str().expect("a short description");
        assert!(short.len() <= 50 && !short.ends_with('.'), "{short}");
        for platform in plugin["spec"]["platforms"].as_array().expect("platforms") {
            let words = |pointer| platform.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
            assert_eq!(words("/bin"), "kubectl-nodeapp");
            let name =
                format!("{}-{}", words("/selector/matchLabels/os"), words("/selector/matchLabels/arch"));
            assert!(words("/uri").ends_with(&format!("/kubectl-nodeapp-{name}.tar.gz")), "{platform}");
            assert_eq!(words("/sha256"), UNKNOWN, "no release exists whose hash this could be");
        }
    }
}
