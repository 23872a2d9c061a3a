//! Images in the containerd of a node.

use std::io::{BufWriter, Write};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::layout::Layout;
use super::process;
use crate::image::oci::Store;
use crate::sh;

/// The containerd of a node.
pub(crate) struct Runtime<'a> {
    pub(crate) layout: &'a Layout,
    /// The process that holds the node's namespaces.
    pub(crate) holder: i32,
}

impl Runtime<'_> {
    /// Whether it answers.
    pub(crate) fn answers(&self) -> Result<()> {
        sh::output(&mut self.ctr(&["version"])?).map(drop)
    }

    /// Imports those of the images that are not there under the same digest. Returns how many these were.
    pub(crate) fn import(&self, store: &Store, references: &[&str]) -> Result<usize> {
        let present = self.list()?;
        let mut missing = Vec::new();
        for reference in references {
            let digest = store.digest(reference)?;
            if !missing.contains(reference) && !has(&present, reference, &digest) {
                missing.push(*reference);
            }
        }
        if !missing.is_empty() {
            self.send(store, &missing)?;
            self.await_kubelet_knows(&missing)?;
        }
        Ok(missing.len())
    }

    fn send(&self, store: &Store, references: &[&str]) -> Result<()> {
        let mut child = self
            .ctr(&["images", "import", "-"])?
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .context("cannot start ctr")?;
        let mut pipe = BufWriter::with_capacity(1 << 20, child.stdin.take().context("ctr takes no input")?);
        let written = store.export(references, &mut pipe).and_then(|()| Ok(pipe.flush()?));
        drop(pipe);
        let output = child.wait_with_output()?;
        if !output.status.success() {
            bail!("containerd does not take the images: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        written
    }

    /// The part of containerd that serves the kubelet learns of an import by an event, shortly afterwards; it
    /// labels the images it knows.
    fn await_kubelet_knows(&self, references: &[&str]) -> Result<()> {
        let started = Instant::now();
        loop {
            let present = self.list()?;
            if references.iter().all(|reference| managed(&present, reference)) {
                return Ok(());
            }
            if started.elapsed() > Duration::from_secs(20) {
                bail!("the kubelet's part of containerd did not take over the imported images:\n{present}");
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn list(&self) -> Result<String> {
        sh::output(&mut self.ctr(&["images", "list"])?)
    }

    fn ctr(&self, arguments: &[&str]) -> Result<Command> {
        let mut command = process::tool(self.layout, self.holder, &["ctr", "--namespace", "k8s.io"])?;
        command.args(arguments);
        Ok(command)
    }
}

/// Whether the listing of `ctr images list` has this reference with this digest.
fn has(listing: &str, reference: &str, digest: &str) -> bool {
    listing.lines().any(|line| {
        let mut columns = line.split_whitespace();
        columns.next() == Some(reference) && columns.nth(1) == Some(digest)
    })
}

fn managed(listing: &str, reference: &str) -> bool {
    listing.lines().any(|line| {
        line.split_whitespace().next() == Some(reference) && line.contains("io.cri-containerd.image=managed")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LISTING: &str = "\
REF                  TYPE                                       DIGEST     SIZE     PLATFORMS   LABELS
localhost/node:22    application/vnd.oci.image.manifest.v1+json sha256:aa  98.0 MiB linux/amd64 io.cri-containerd.image=managed
localhost/pause:1    application/vnd.oci.image.manifest.v1+json sha256:bb  1.4 MiB  linux/amd64 -
";

    #[test]
    fn image_of_the_same_name_with_other_content_is_imported_again() {
        assert!(has(LISTING, "localhost/node:22", "sha256:aa"));
        assert!(!has(LISTING, "localhost/node:22", "sha256:cc"));
        assert!(!has(LISTING, "localhost/node:2", "sha256:aa"));
    }

    #[test]
    fn import_counts_once_the_kubelet_can_see_it() {
        assert!(managed(LISTING, "localhost/node:22"));
        assert!(!managed(LISTING, "localhost/pause:1"));
    }
}
