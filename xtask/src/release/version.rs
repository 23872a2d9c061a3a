//! One version everywhere: programs, charts, images, the manifest of krew, the changelog.

use anyhow::{Result, ensure};

use super::{krew, read};
use crate::sh;

/// Files, and the lines in which each names the version.
const PLACES: &[(&str, &[&str])] = &[
    ("Cargo.toml", &["version = \"VERSION\""]),
    (
        "charts/nodeapp-operator/Chart.yaml",
        &[
            "version: VERSION",
            "appVersion: VERSION",
            "    version: VERSION",
            "      image: nodeapp/nodeapp-operator:VERSION",
            "      image: nodeapp/nodeapp-runner:VERSION",
            "      image: nodeapp/nodeapp-forwarder:VERSION",
        ],
    ),
    ("charts/nodeapp-operator-crds/Chart.yaml", &["version: VERSION", "appVersion: VERSION"]),
    (krew::FILE, &["  version: vVERSION"]),
];

/// Every place names this version, and the changelog tells of it.
pub(super) fn check(version: &str) -> Result<()> {
    let mut wrong = places(version, read)?;
    if !read("CHANGELOG.md")?.lines().any(|line| line.starts_with(&format!("## {version}"))) {
        wrong.push(format!("CHANGELOG.md: no heading `## {version}`"));
    }
    ensure!(wrong.is_empty(), "not everything is of version {version}:\n  {}", wrong.join("\n  "));
    sh::say(&format!("✓ everything is of version {version}"));
    Ok(())
}

/// The lines that should be there and are not.
fn places(version: &str, read: impl Fn(&str) -> Result<String>) -> Result<Vec<String>> {
    let mut wrong = Vec::new();
    for (file, lines) in PLACES {
        let text = read(file)?;
        for line in *lines {
            let wanted = line.replace("VERSION", version);
            if !text.lines().any(|line| line == wanted) {
                wrong.push(format!("{file}: no line `{}`", wanted.trim()));
            }
        }
    }
    Ok(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn charts_images_and_krew_are_of_the_version_of_the_programs() {
        let wrong = places(env!("CARGO_PKG_VERSION"), read).expect("all files are there");
        assert!(wrong.is_empty(), "{wrong:?}");
    }

    #[test]
    fn a_place_that_was_forgotten_is_named() {
        let wrong = places("99.0.0", read).expect("all files are there");
        assert!(wrong.contains(&"Cargo.toml: no line `version = \"99.0.0\"`".to_owned()), "{wrong:?}");
        assert_eq!(wrong.len(), PLACES.iter().map(|(_, lines)| lines.len()).sum::<usize>());
    }
}
